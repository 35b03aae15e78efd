// The idle screen of the customer: a greeting one can read from the door, and what to do.
pragma ComponentBehavior: Bound
import QtQuick

Rectangle {
    id: attract

    required property var side

    color: Theme.paper

    Hills {
        anchors.left: parent.left
        anchors.right: parent.right
        anchors.bottom: parent.bottom
        height: Math.max(parent.height * 0.3, parent.height - words.y - words.height - Theme.mm(6))
    }
    Column {
        id: words

        x: Theme.mm(14)
        y: Theme.mm(12)
        width: parent.width - 2 * x
        spacing: Theme.mm(4)

        Label {
            objectName: "title"
            width: parent.width
            text: attract.side.title
            font.pixelSize: Theme.pt(42)
            font.bold: true
            color: Theme.brandDeep
        }
        Repeater {
            model: attract.side.lines
            Label {
                required property var modelData

                width: words.width
                text: modelData.label === "" ? modelData.value : modelData.label + "  "
                    + modelData.value
                font.pixelSize: Theme.large
            }
        }
        NoticeBar {
            width: parent.width
            text: attract.side.notice
            kind: attract.side.noticeKind
        }
    }
}
