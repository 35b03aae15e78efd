// An amount as the notes and coins that make it: a fan of up to four and how many there are.
pragma ComponentBehavior: Bound
import QtQuick

Flow {
    id: fan

    // [[value in fen, how many], ...]
    required property var notes
    // The fewer kinds, the larger they are drawn.
    readonly property real noteWidth: Theme.mm(notes.length === 1 ? 46 : notes.length <= 3 ? 36
        : 24)
    readonly property real noteHeight: noteWidth * 0.48

    spacing: notes.length <= 3 ? Theme.mm(4) : Theme.mm(2.2)

    Repeater {
        model: fan.notes

        Item {
            id: pile

            required property var modelData
            readonly property int fen: modelData[0]
            readonly property int count: modelData[1]
            readonly property bool coin: fen < 100
            readonly property int shown: Math.min(count, 4)
            readonly property real step: fan.noteWidth / 24
            readonly property string figure: fen % 100 === 0 ? String(fen / 100)
                : fen % 10 === 0 ? fen / 10 + "角" : fen + "分"

            width: fan.notes.length > 3 ? (fan.width - fan.spacing) / 2 : face.width + 3 * step
                + Theme.mm(2) + times.implicitWidth
            height: fan.noteHeight + 3 * step
            Accessible.role: Accessible.Graphic
            Accessible.name: figure + " × " + count

            Repeater {
                model: pile.shown - 1
                Rectangle {
                    required property int index

                    x: (pile.shown - 1 - index) * pile.step
                    y: 3 * pile.step - (pile.shown - 1 - index) * pile.step
                    width: face.width
                    height: face.height
                    radius: face.radius
                    color: Qt.darker(Theme.note(pile.fen), 1.25)
                    border.width: Theme.line
                    border.color: "#ffffff"
                }
            }
            Rectangle {
                id: face

                y: 3 * pile.step
                width: pile.coin ? fan.noteHeight * 1.4 : fan.noteWidth
                height: fan.noteHeight
                radius: pile.coin ? height / 2 : Theme.mm(1)
                color: Theme.note(pile.fen)
                border.width: Theme.line
                border.color: "#ffffff"

                Rectangle {
                    visible: !pile.coin
                    anchors.fill: parent
                    anchors.margins: Theme.mm(1.4)
                    color: "transparent"
                    radius: Theme.mm(0.6)
                    border.width: Theme.line
                    border.color: "#66ffffff"
                }
                Rectangle {
                    visible: !pile.coin
                    x: parent.width - width - parent.width * 0.08
                    anchors.verticalCenter: parent.verticalCenter
                    width: parent.height * 0.5
                    height: width
                    radius: width / 2
                    color: "#2effffff"
                    border.width: Theme.line
                    border.color: "#66ffffff"
                }
                Label {
                    x: pile.coin ? (parent.width - width) / 2 : parent.width * 0.1
                    anchors.verticalCenter: parent.verticalCenter
                    text: pile.figure
                    color: "#ffffff"
                    font.pixelSize: pile.coin || fan.notes.length > 3 ? Theme.small
                        : fan.notes.length > 1 ? Theme.large : Theme.title
                    font.bold: true
                    wrapMode: Text.NoWrap
                    Accessible.ignored: true
                }
            }
            Label {
                id: times

                x: face.width + 3 * pile.step + Theme.mm(1)
                y: face.y + (face.height - height) / 2
                text: "× " + pile.count
                font.pixelSize: fan.notes.length > 3 ? Theme.body : Theme.large
                font.bold: true
                wrapMode: Text.NoWrap
                Accessible.ignored: true
            }
        }
    }
}
