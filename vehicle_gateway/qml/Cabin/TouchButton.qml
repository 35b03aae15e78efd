// Something to touch while standing: at least 15 mm in both directions.
import QtQuick
import QtQuick.Templates as T

T.AbstractButton {
    id: button

    property string kind: "plain"
    readonly property color ground: !enabled ? Theme.disabled : kind === "strong" ? Theme.brand
        : kind === "danger" ? Theme.danger : down ? Theme.pressed : Theme.surface
    readonly property color inkColor: !enabled ? Theme.disabledInk : kind === "strong"
        ? Theme.brandInk : kind === "danger" ? Theme.dangerInk : Theme.ink

    implicitWidth: Math.max(Theme.target, contentItem.implicitWidth + 2 * Theme.margin)
    implicitHeight: Theme.target
    Accessible.name: text

    background: Rectangle {
        radius: Theme.radius
        color: button.ground
        border.width: 2
        border.color: button.down ? Theme.ink : Theme.hairline
    }
    contentItem: Label {
        text: button.text
        color: button.inkColor
        font.pixelSize: Theme.body
        font.bold: true
        wrapMode: Text.NoWrap
        horizontalAlignment: Text.AlignHCenter
        verticalAlignment: Text.AlignVCenter
        Accessible.ignored: true
    }
}
