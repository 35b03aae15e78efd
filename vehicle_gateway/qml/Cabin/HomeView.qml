// Standing and signed in: today's grade, what it cost, what would raise it, and what one can do.
import QtQuick

Item {
    id: view

    required property var panel
    readonly property var driver: panel.state.driver ?? ({})
    readonly property var today: panel.state.today ?? null
    readonly property var official: panel.state.official ?? null
    readonly property bool rated: today !== null && today.grade !== "unrated"
    readonly property bool consented: driver.consented === true
    readonly property bool alerted: (panel.state.alerts ?? []).length > 0

    signal consentWanted

    AlertPlate {
        id: plate

        visible: view.alerted
        panel: view.panel
        x: Theme.margin
        y: Theme.gap
        width: parent.width - 2 * Theme.margin
        height: 104
    }
    Item {
        id: left

        x: Theme.margin
        y: view.alerted ? plate.height + 2 * Theme.gap : Theme.gap
        width: 236
        height: parent.height - y

        Label {
            id: who

            objectName: "who"
            width: parent.width
            font.bold: true
            text: view.driver.name || (view.consented ? Words.say("已登录", "Signed in")
                : Words.say("已登录，不记录", "Not recorded"))
        }
        Label {
            id: letter

            objectName: "grade"
            anchors.top: who.bottom
            width: parent.width
            visible: view.consented && !view.alerted
            font.pixelSize: view.rated ? Theme.huge : Theme.large
            font.bold: true
            text: view.rated ? view.today.grade : Words.say("今日暂无评级", "No grade yet today")
        }
        Label {
            objectName: "score"
            anchors.top: letter.visible ? letter.bottom : who.bottom
            width: parent.width
            visible: view.rated
            font.pixelSize: Theme.small
            text: Words.say("今日 %1 分\n%2 公里", "Today: %1 points\n%2 km").arg(
                view.today?.score ?? "").arg(view.today?.km ?? 0)
        }
        Label {
            objectName: "official"
            anchors.bottom: parent.bottom
            anchors.bottomMargin: Theme.margin
            width: parent.width
            visible: view.consented
            color: Theme.muted
            font.pixelSize: Theme.small
            text: view.official ? Words.say("正式评级 %1（%2）", "Official: %1 (%2)").arg(
                view.official.grade).arg(view.official.as_of) : Words.say("尚无正式评级",
                "No official grade yet")
        }
    }
    Column {
        id: reasons

        x: left.x + left.width + Theme.gap
        y: left.y
        width: parent.width - x - Theme.margin
        spacing: Theme.gap

        Repeater {
            model: view.consented && !view.alerted ? view.today?.reasons ?? [] : []
            ReasonCard {
                required property var modelData

                width: reasons.width
                reason: modelData
            }
        }
        Label {
            objectName: "remark"
            width: parent.width
            visible: text !== ""
            text: !view.consented ? Words.say(
                "您没有同意记录：车辆照常行驶，提醒照常，不形成个人驾驶记录。",
                "You did not agree: drive as usual, alerts stay, no record of you is made.")
                : view.alerted || (view.today?.reasons ?? []).length > 0 ? "" : view.rated
                ? Words.say("今天没有扣分项，保持下去。", "Nothing cost points today. Keep it up.")
                : Words.say("行驶一公里以上后显示今日评级。", "Today's grade shows after a kilometre.")
        }
    }
    Row {
        anchors.right: parent.right
        anchors.rightMargin: Theme.margin
        anchors.bottom: parent.bottom
        anchors.bottomMargin: Theme.gap
        spacing: Theme.gap

        TouchButton {
            objectName: "consent"
            text: view.consented ? Words.say("查看或撤回同意", "Consent") : Words.say(
                "阅读同意书", "Read the consent")
            onClicked: view.consentWanted()
        }
        TouchButton {
            objectName: "sign_out"
            text: Words.say("退出登录", "Sign out")
            onClicked: view.panel.act({"touch": "sign-out"})
        }
    }
}
