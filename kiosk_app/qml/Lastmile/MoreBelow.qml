// Says that a page goes on below its lower edge, and which way to push it.
import QtQuick

Rectangle {
    id: more

    required property Flickable flickable

    anchors.horizontalCenter: flickable.horizontalCenter
    anchors.bottom: flickable.bottom
    visible: flickable.interactive && !flickable.atYEnd
    width: words.implicitWidth + 2 * Theme.mm(4)
    height: words.implicitHeight
    radius: height / 2
    color: Theme.brandDeep

    Label {
        id: words

        anchors.centerIn: parent
        text: qsTr("向上滑动看更多 ▼")
        font.bold: true
        font.pixelSize: Theme.small
        wrapMode: Text.NoWrap
        color: Theme.brandText
    }
}
