// The last receipt as the printer has it, on the operator's side.
import QtQuick

Item {
    id: receipt

    required property string text
    readonly property bool shown: text !== ""

    visible: shown

    Rectangle {
        id: sheet

        anchors.fill: parent
        color: Theme.surface
        border.width: Theme.line
        border.color: Theme.hairline
        clip: true

        Label {
            id: heading

            x: Theme.mm(5)
            y: Theme.mm(3)
            text: qsTr("最近一张凭条")
            font.pixelSize: Theme.small
            font.bold: true
            color: Theme.muted
        }
        Flickable {
            id: roll

            anchors.fill: parent
            anchors.margins: Theme.mm(5)
            anchors.topMargin: heading.height + Theme.mm(5)
            contentWidth: width
            contentHeight: slip.implicitHeight
            interactive: contentHeight > height
            clip: true

            Label {
                id: slip

                objectName: "receipt_text"
                width: roll.width
                text: receipt.text
                font.family: Theme.monospace
                font.pixelSize: Theme.small
                lineHeight: 0.82
                wrapMode: Text.WrapAnywhere
            }
        }
        MoreBelow {
            flickable: roll
        }
    }
}
