// The gateway is silent: nothing that was shown before is believed any more.
import QtQuick

Rectangle {
    color: Theme.paper

    Column {
        anchors.centerIn: parent
        width: parent.width - 4 * Theme.margin
        spacing: Theme.margin

        Label {
            objectName: "offline"
            width: parent.width
            text: Words.say("与车载终端失去连接", "No connection to the box")
            font.pixelSize: Theme.title
            font.bold: true
            horizontalAlignment: Text.AlignHCenter
        }
        Label {
            width: parent.width
            text: Words.say("提醒暂停显示。若一分钟内没有恢复，请联系车队。",
                "Alerts are not shown. If this lasts a minute, call the fleet.")
            color: Theme.muted
            horizontalAlignment: Text.AlignHCenter
        }
    }
}
