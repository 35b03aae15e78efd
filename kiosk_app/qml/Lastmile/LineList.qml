// What a step tells: label and value, one row each; money stands out.
pragma ComponentBehavior: Bound
import QtQuick

Column {
    id: list

    required property var lines
    property bool large: false

    spacing: 0

    Repeater {
        model: list.lines

        Item {
            id: row

            required property var modelData
            required property int index
            readonly property bool strong: modelData.emphasis !== "normal"
            readonly property bool alone: modelData.label === ""
            // Label and value share a row while both fit, else the value goes under its label.
            readonly property bool fits: name.implicitWidth + figure.implicitWidth
                + Theme.mm(8) <= width
            readonly property real pad: Theme.mm(2)

            width: list.width
            height: alone ? figure.height + 2 * pad : fits
                ? Math.max(name.height, figure.height) + 2 * pad : name.height + figure.height
                + 2 * pad

            Rectangle {
                width: parent.width
                height: Theme.line
                color: Theme.hairline
                visible: row.index > 0 && !row.alone
            }
            Label {
                id: name

                y: row.fits ? figure.y + figure.baselineOffset - baselineOffset : row.pad
                width: row.fits ? implicitWidth : row.width
                visible: !row.alone
                text: row.modelData.label
                font.pixelSize: list.large ? Theme.large : Theme.body
                color: Theme.muted
            }
            Label {
                id: figure

                x: row.alone || !row.fits ? 0 : row.width - width
                y: row.alone || row.fits ? row.pad : row.pad + name.height
                width: row.alone || !row.fits ? row.width : implicitWidth
                text: row.modelData.value
                font.pixelSize: row.modelData.emphasis === "money" ? Theme.title : row.strong
                    || list.large ? Theme.large : Theme.body
                font.bold: row.strong
                color: row.modelData.emphasis === "money" ? Theme.brandDeep : Theme.ink
            }
        }
    }
}
