// The buttons of a step along the foot of the screen: the primary one always stands at the right.
//
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

    implicitHeight: Theme.target

    Row {
        anchors.left: parent.left
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
        anchors.right: parent.right
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
