// Money three ways, so that nobody has to trust one: figures, capitals and the notes themselves.
import QtQuick

Rectangle {
    id: panel

    // {"fen", "digits", "capitals", "banknotes"}, or {} where the step shows no money.
    required property var money
    readonly property bool shown: money.digits !== undefined

    visible: shown
    implicitHeight: content.height + 2 * Theme.mm(6)
    radius: Theme.radius
    color: Theme.surface
    border.width: Theme.line
    border.color: Theme.hairline

    Column {
        id: content

        x: Theme.mm(7)
        y: Theme.mm(6)
        width: parent.width - 2 * x
        spacing: Theme.mm(2)

        Label {
            objectName: "money_digits"
            width: parent.width
            text: panel.shown ? "¥ " + panel.money.digits : ""
            font.pixelSize: Theme.huge
            fontSizeMode: Text.HorizontalFit
            minimumPixelSize: Theme.large
            wrapMode: Text.NoWrap
            font.bold: true
            color: Theme.brandDeep
        }
        Label {
            objectName: "money_capitals"
            width: parent.width
            text: panel.shown ? panel.money.capitals : ""
            font.pixelSize: Theme.large
            font.bold: true
        }
        Item {
            width: 1
            height: Theme.mm(1)
        }
        Banknotes {
            width: parent.width
            notes: panel.shown ? panel.money.banknotes : []
        }
    }
}
