"""What a deployment needs beside Python: broker configuration, service units, and how to use them.

Place in the flow: `hardware.drivers.broker` fills `mosquitto.conf` in for demonstration and tests,
an operator fills the same file in for a real broker, so that what is tested is what is deployed.
"""
