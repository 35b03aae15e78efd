// What has been typed so far, large, with its unit and the rule it must keep.
import QtQuick

Column {
    id: entry

    required property var field
    required property string typed
    readonly property bool amount: field.kind === "amount"

    // Groups whole yuan by thousands and long numbers by four, as people read them aloud.
    function grouped(text: string): string {
        if (!amount)
            return text.replace(/(\d{4})(?=\d)/g, "$1 ");
        const parts = text.split(".");
        parts[0] = parts[0].replace(/\B(?=(\d{3})+$)/g, ",");
        return parts.join(".");
    }

    spacing: Theme.mm(2)

    Rectangle {
        width: parent.width
        height: Theme.mm(22)
        radius: Theme.radius
        color: Theme.surface
        border.width: 2 * Theme.line
        border.color: Theme.brand

        Label {
            id: mark

            x: Theme.mm(4)
            anchors.verticalCenter: parent.verticalCenter
            visible: entry.amount
            text: "¥"
            font.pixelSize: Theme.title
            font.bold: true
            color: Theme.muted
        }
        Label {
            objectName: "typed"
            anchors.left: parent.left
            anchors.leftMargin: Theme.mm(14)
            anchors.right: unit.left
            anchors.rightMargin: Theme.gap
            anchors.verticalCenter: parent.verticalCenter
            text: entry.grouped(entry.typed)
            horizontalAlignment: Text.AlignRight
            font.pixelSize: Theme.pt(40)
            font.bold: true
            fontSizeMode: Text.HorizontalFit
            minimumPixelSize: Theme.large
            wrapMode: Text.NoWrap
            color: Theme.brandDeep
        }
        Label {
            id: unit

            anchors.right: parent.right
            anchors.rightMargin: Theme.mm(4)
            anchors.verticalCenter: parent.verticalCenter
            text: entry.field.unit
            font.pixelSize: Theme.large
            color: Theme.muted
        }
    }
    Label {
        width: parent.width
        visible: text !== ""
        text: entry.field.hint
        font.pixelSize: Theme.small
        color: Theme.muted
    }
}
