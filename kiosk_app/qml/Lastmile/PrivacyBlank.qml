// Covers the whole screen the moment its contents may no longer be seen.
import QtQuick

Rectangle {
    id: blank

    required property bool shown

    objectName: "privacy_blank"
    visible: shown
    color: Theme.brandDeep

    // Nothing below may be touched either.
    MouseArea {
        anchors.fill: parent
    }
    Label {
        anchors.centerIn: parent
        width: parent.width - 2 * Theme.margin
        horizontalAlignment: Text.AlignHCenter
        text: qsTr("屏幕已遮盖，请稍候")
        font.pixelSize: Theme.title
        font.bold: true
        color: Theme.brandText
    }
}
