// One reason that costs points, and what would raise them.
import QtQuick

Rectangle {
    id: card

    required property var reason

    color: Theme.surface
    radius: Theme.radius
    border.width: 2
    border.color: Theme.hairline
    implicitHeight: words.height + Theme.margin

    Column {
        id: words

        x: Theme.gap
        y: Theme.margin / 2
        width: card.width - 2 * Theme.gap

        Label {
            width: parent.width
            font.bold: true
            font.pixelSize: Theme.small
            text: Words.say("%1（少 %2 分）", "%1 (−%2)").arg(
                Words.say(card.reason.zh, card.reason.en)).arg(card.reason.cost)
        }
        Label {
            width: parent.width
            color: Theme.muted
            font.pixelSize: Theme.small
            text: Words.say(card.reason.raise_zh, card.reason.raise_en)
        }
    }
}
