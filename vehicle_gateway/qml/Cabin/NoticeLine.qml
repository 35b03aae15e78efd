// What came of the last act: one line, gone by itself.
import QtQuick

Rectangle {
    id: line

    required property var panel
    readonly property string code: panel.state.notice ?? ""
    readonly property bool bad: ["unknown", "locked", "no-roster", "moving"].includes(code)
    readonly property int locked: panel.state.locked_s ?? 0

    visible: code !== ""
    height: 64
    radius: Theme.radius
    color: bad ? Theme.warn : Theme.brand

    Label {
        objectName: "notice"
        anchors.fill: parent
        anchors.leftMargin: Theme.margin
        anchors.rightMargin: Theme.margin
        verticalAlignment: Text.AlignVCenter
        color: line.bad ? Theme.warnInk : Theme.brandInk
        font.bold: true
        font.pixelSize: Theme.small
        text: Words.pick(Words.notices[line.code]) + (line.code === "locked" && line.locked > 0
            ? Words.say("：%1 秒", ": %1 s").arg(line.locked) : "")
    }
}
