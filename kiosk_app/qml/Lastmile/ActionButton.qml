// A button that moves the service on, back or out; its kind gives the colour.
import QtQuick
import QtQuick.Templates as T

T.AbstractButton {
    id: button

    property string kind: "plain"
    readonly property bool filled: kind !== "plain"
    readonly property color tone: kind === "danger" ? Theme.danger : Theme.brand

    implicitWidth: Math.max(Theme.mm(44), contentItem.implicitWidth + 2 * Theme.mm(7))
    implicitHeight: Theme.target
    Accessible.name: text

    background: Rectangle {
        radius: Theme.radius
        color: !button.enabled ? Theme.disabled : button.filled ? button.tone : button.down
            ? Theme.pressedPlain : Theme.surface
        border.width: button.visualFocus ? 4 * Theme.line : 2 * Theme.line
        border.color: !button.enabled ? Theme.hairline : button.visualFocus ? Theme.ink
            : button.tone

        Rectangle {
            anchors.fill: parent
            radius: Theme.radius
            visible: button.filled && button.down
            color: "#40000000"
        }
    }
    contentItem: Label {
        text: button.text
        font.pixelSize: Theme.large
        font.bold: true
        wrapMode: Text.NoWrap
        horizontalAlignment: Text.AlignHCenter
        verticalAlignment: Text.AlignVCenter
        color: !button.enabled ? Theme.disabledText : button.filled ? Theme.brandText
            : Theme.brandDeep
        Accessible.ignored: true
    }
}
