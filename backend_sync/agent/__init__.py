"""The device's end: journal up, mirror down, one contact at a time.

Place in the flow: kiosk's journal → **agent** ══ core ══ **agent** → mirror → screens.
"""
