// One key of the keypad: at least 20 mm square.
import QtQuick
import QtQuick.Templates as T

T.AbstractButton {
    id: key

    property bool strong: false
    // Figures are large; words such as 清除 are smaller, so that they keep to one line.
    readonly property bool worded: text.length > 1 && text !== "00"
    readonly property color ground: !enabled ? Theme.disabled : strong ? (down
        ? Theme.brandDeep : Theme.brand) : (down ? Theme.pressedPlain : Theme.surface)

    implicitWidth: Theme.target
    implicitHeight: Theme.target
    Accessible.name: text

    background: Rectangle {
        radius: Theme.radius
        color: key.ground
        border.width: key.visualFocus ? 3 * Theme.line : Theme.line
        border.color: key.visualFocus ? Theme.ink : key.strong ? Theme.brandDeep : Theme.hairline
    }
    contentItem: Label {
        text: key.text
        font.pixelSize: key.worded ? Theme.large : Theme.title
        font.bold: true
        wrapMode: Text.NoWrap
        horizontalAlignment: Text.AlignHCenter
        verticalAlignment: Text.AlignVCenter
        color: !key.enabled ? Theme.disabledText : key.strong ? Theme.brandText : Theme.ink
        Accessible.ignored: true
    }
}
