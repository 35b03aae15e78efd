// One key of the keypad: at least 20 mm square.
import QtQuick
import QtQuick.Templates as T

T.AbstractButton {
    id: key

    property bool strong: false
    readonly property color ground: !enabled ? Theme.disabled : strong ? (down ? Theme.brandDeep : Theme.brand) : (down ? Theme.pressedPlain : Theme.surface)

    implicitWidth: Theme.target
    implicitHeight: Theme.target
    Accessible.name: text

    background: Rectangle {
        radius: Theme.radius
        color: key.ground
        border.width: key.activeFocus ? 3 * Theme.line : Theme.line
        border.color: key.activeFocus ? Theme.ink : key.strong ? Theme.brandDeep : Theme.hairline
    }
    contentItem: Label {
        text: key.text
        font.pixelSize: key.text.length > 2 ? Theme.body : Theme.title
        font.bold: true
        horizontalAlignment: Text.AlignHCenter
        verticalAlignment: Text.AlignVCenter
        color: !key.enabled ? Theme.disabledText : key.strong ? Theme.brandText : Theme.ink
        Accessible.ignored: true
    }
}
