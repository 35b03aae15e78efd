// One fact of the status bar: what it is, above what it says; `alarm` marks what needs the agent.
import QtQuick

Rectangle {
    id: cell

    required property string name
    required property string value
    property bool alarm: false

    implicitWidth: Math.max(label.implicitWidth, figure.implicitWidth) + 2 * Theme.mm(2.2)
    implicitHeight: label.implicitHeight + figure.implicitHeight
    radius: Theme.radius
    color: alarm ? Theme.accent : Theme.brandDeep
    Accessible.role: Accessible.StaticText
    Accessible.name: name + " " + value

    Label {
        id: label

        x: Theme.mm(2.2)
        text: cell.name
        font.pixelSize: Theme.small
        wrapMode: Text.NoWrap
        color: cell.alarm ? Theme.ink : Theme.brandText
        Accessible.ignored: true
    }
    Label {
        id: figure

        x: Theme.mm(2.2)
        y: label.implicitHeight
        text: cell.value
        font.pixelSize: Theme.small
        font.bold: true
        wrapMode: Text.NoWrap
        color: cell.alarm ? Theme.ink : Theme.brandText
        Accessible.ignored: true
    }
}
