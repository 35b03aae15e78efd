// What the counter waits for; three dots move twice a second, which costs a box without GPU
// nothing.
pragma ComponentBehavior: Bound
import QtQuick

Rectangle {
    id: bar

    property string text: ""
    property bool large: false
    property int beat: 0

    visible: text !== ""
    implicitHeight: visible ? Math.max(Theme.mm(bar.large ? 26 : 16), words.height
        + 2 * Theme.gap) : 0
    radius: Theme.radius
    color: Theme.surface
    border.width: Theme.line
    border.color: Theme.hairline

    Timer {
        running: bar.visible
        repeat: true
        interval: 500
        onTriggered: bar.beat = (bar.beat + 1) % 3
    }
    Row {
        id: dots

        x: Theme.mm(5)
        anchors.verticalCenter: parent.verticalCenter
        spacing: Theme.mm(2)

        Repeater {
            model: 3
            Rectangle {
                required property int index

                width: Theme.mm(3)
                height: width
                radius: width / 2
                color: index === bar.beat ? Theme.brand : Theme.hairline
            }
        }
    }
    Label {
        id: words

        objectName: "busy"
        anchors.left: dots.right
        anchors.leftMargin: Theme.mm(5)
        anchors.right: parent.right
        anchors.rightMargin: Theme.mm(4)
        anchors.verticalCenter: parent.verticalCenter
        text: bar.text
        font.pixelSize: bar.large ? Theme.title : Theme.large
        font.bold: true
    }
}
