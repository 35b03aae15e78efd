// What calls for the driver's ear, as large as its room: both languages, and silence for a while.
import QtQuick

Rectangle {
    id: plate

    required property var panel
    readonly property var first: (panel.state.alerts ?? [])[0] ?? ({})
    readonly property bool loud: first.level === "alarm"
    readonly property bool tall: height > 200
    readonly property color inkColor: loud ? Theme.alarmInk : Theme.warnInk
    readonly property var words: Words.alert(first.kind ?? "", first.level ?? "")

    color: loud ? Theme.alarm : Theme.warn
    radius: tall ? 0 : Theme.radius

    Column {
        anchors.left: parent.left
        anchors.right: mute.visible && !plate.tall ? mute.left : parent.right
        anchors.margins: Theme.margin
        y: plate.tall ? (plate.height - height - (mute.visible ? Theme.target : 0)) / 2
            : (plate.height - height) / 2
        spacing: plate.tall ? Theme.gap : 0

        Label {
            objectName: "alert"
            width: parent.width
            text: Words.pick(plate.words)
            color: plate.inkColor
            font.pixelSize: !plate.tall ? Theme.large : Words.language === "en" ? 76 : Theme.huge
            font.bold: true
            horizontalAlignment: plate.tall ? Text.AlignHCenter : Text.AlignLeft
        }
        Label {
            objectName: "alert_other"
            width: parent.width
            visible: plate.tall
            text: Words.other(plate.words) + (plate.first.left_min === undefined ? "" : Words.say(
                " · 还可驾驶 %1 分钟", " · %1 min left").arg(plate.first.left_min)) + (plate.first.muted
                ? Words.say(" · 已静音", " · muted") : "")
            color: plate.inkColor
            font.pixelSize: Theme.large
            horizontalAlignment: Text.AlignHCenter
        }
    }
    TouchButton {
        id: mute

        objectName: "mute"
        visible: (plate.panel.state.sound ?? "") !== "" && (plate.panel.state.mutes_left ?? 0) > 0
        x: plate.tall ? (plate.width - width) / 2 : plate.width - width - Theme.gap
        y: plate.tall ? plate.height - height - Theme.margin : (plate.height - height) / 2
        text: Words.say("静音一分钟（剩 %1 次）", "Mute 1 min (%1 left)").arg(
            plate.panel.state.mutes_left ?? 0)
        onClicked: plate.panel.act({"touch": "mute"})
    }
}
