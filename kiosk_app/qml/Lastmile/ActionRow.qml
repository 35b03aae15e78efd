// The buttons of a step along the foot of the screen: the primary one always stands at the right.
//
// - Buttons that are many or long make two rows.
// - Where a receipt is shown, its reprint stands below it.
pragma ComponentBehavior: Bound
import QtQuick

Item {
    id: row

    required property var side
    property bool reprintable: false
    readonly property bool filled: side.buttons.length > 0 || reprintable
    readonly property var others: side.buttons.filter(button => button.role !== "primary")
    readonly property var primary: side.buttons.filter(button => button.role === "primary")

    // Where they do not fit side by side, what moves on stands above what does not.
    readonly property bool stacked: leading.implicitWidth + Theme.gap
        + following.implicitWidth > width

    implicitHeight: stacked ? 2 * Theme.target + Theme.gap : Theme.target

    Row {
        id: following

        anchors.left: parent.left
        anchors.bottom: parent.bottom
        spacing: Theme.gap

        Repeater {
            model: row.others
            ActionButton {
                required property var modelData

                objectName: "button_" + modelData.id
                text: modelData.text
                kind: modelData.role
                enabled: modelData.enabled
                onClicked: row.side.press(modelData.id)
            }
        }
    }
    Row {
        id: leading

        anchors.right: parent.right
        anchors.top: parent.top
        spacing: Theme.gap

        ActionButton {
            objectName: "button_reprint"
            visible: row.reprintable
            text: qsTr("补打凭条")
            onClicked: row.side.reprint()
        }

        Repeater {
            model: row.primary
            ActionButton {
                required property var modelData

                objectName: "button_" + modelData.id
                implicitWidth: Math.max(Theme.mm(60), contentItem.implicitWidth + 2 * Theme.mm(7))
                text: modelData.text
                kind: "primary"
                enabled: modelData.enabled
                onClicked: row.side.press(modelData.id)
            }
        }
    }
}
