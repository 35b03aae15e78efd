// Time, whether the bank hears us, what still waits, and the other language.
import QtQuick

Rectangle {
    id: bar

    required property var panel
    readonly property var link: panel.state.link ?? ({})
    readonly property string reach: link.online === true ? Words.say("已联网", "Online") : link.online
        === false ? Words.say("无信号", "No signal") : Words.say("未设联网", "Not set up")

    readonly property bool told: (panel.state.notice ?? "") !== ""
    // What the button takes of the right.
    readonly property real spare: speak.width + Theme.gap

    height: Theme.bar
    color: Theme.surface

    Label {
        id: clock

        objectName: "clock"
        visible: !bar.told
        x: Theme.margin
        anchors.verticalCenter: parent.verticalCenter
        text: bar.panel.state.clock ?? ""
        font.pixelSize: Theme.large
        font.bold: true
    }
    Label {
        objectName: "reach"
        visible: !bar.told
        anchors.left: clock.right
        anchors.leftMargin: Theme.margin
        anchors.right: speak.left
        anchors.rightMargin: Theme.margin
        anchors.verticalCenter: parent.verticalCenter
        color: Theme.muted
        font.pixelSize: Theme.small
        text: bar.reach + (bar.link.waiting > 0 ? Words.say(" · 待发 %1 条", " · %1 waiting").arg(
            bar.link.waiting) : Words.say(" · 全部送达", " · all delivered"))
    }
    TouchButton {
        id: speak

        objectName: "language"
        anchors.right: parent.right
        anchors.rightMargin: Theme.gap
        anchors.verticalCenter: parent.verticalCenter
        visible: !bar.panel.state.moving
        text: Words.say("English", "中文")
        onClicked: Words.language = Words.say("en", "zh")
    }
    Rectangle {
        anchors.bottom: parent.bottom
        width: parent.width
        height: 2
        color: Theme.hairline
    }
}
