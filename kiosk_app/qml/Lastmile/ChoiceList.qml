// At most five choices, one under the other, or in two columns where there is room for them.
pragma ComponentBehavior: Bound
import QtQuick
import QtQuick.Templates as T

Grid {
    id: list

    required property var side
    readonly property real columnWidth: (width - (columns - 1) * spacing) / columns

    // All as tall as the tallest, so that a row has one lower edge.
    property real tallest: Theme.target

    function level(): void {
        let height = Theme.target;
        for (let at = 0; at < choices.count; ++at)
            height = Math.max(height, choices.itemAt(at)?.wanted ?? 0);
        tallest = height;
    }

    columns: width >= Theme.mm(190) && side.choices.length > 3 ? 2 : 1

    spacing: Theme.gap

    Repeater {
        id: choices

        model: list.side.choices
        onItemAdded: list.level()
        onItemRemoved: list.level()

        T.AbstractButton {
            id: choice

            required property var modelData
            readonly property bool detailed: modelData.detail !== ""
            readonly property real wanted: words.implicitHeight + 2 * Theme.mm(1.4)

            objectName: "choice_" + modelData.id
            width: list.columnWidth
            height: list.tallest
            text: modelData.text
            Accessible.name: detailed ? modelData.text + ", " + modelData.detail : modelData.text
            onWantedChanged: list.level()
            onClicked: list.side.choose(modelData.id)

            background: Rectangle {
                radius: Theme.radius
                color: choice.down ? Theme.pressedPlain : Theme.surface
                border.width: choice.visualFocus ? 4 * Theme.line : 2 * Theme.line
                border.color: choice.visualFocus ? Theme.ink : Theme.brand

                Rectangle {
                    width: Theme.mm(2.4)
                    height: parent.height
                    radius: Theme.radius
                    color: Theme.brand
                }
            }
            contentItem: Item {
                Column {
                    id: words

                    spacing: -Theme.mm(1.2)

                    anchors.verticalCenter: parent.verticalCenter
                    anchors.left: parent.left
                    anchors.leftMargin: Theme.mm(8)
                    anchors.right: arrow.left
                    anchors.rightMargin: Theme.gap

                    Label {
                        width: parent.width
                        text: choice.text
                        font.pixelSize: Theme.large
                        font.bold: true
                        Accessible.ignored: true
                    }
                    Label {
                        width: parent.width
                        visible: choice.detailed
                        text: choice.modelData.detail
                        font.pixelSize: Theme.small
                        color: Theme.muted
                        Accessible.ignored: true
                    }
                }
                Label {
                    id: arrow

                    anchors.right: parent.right
                    anchors.rightMargin: Theme.mm(5)
                    anchors.verticalCenter: parent.verticalCenter
                    text: "›"
                    font.pixelSize: Theme.title
                    color: Theme.brand
                    Accessible.ignored: true
                }
            }
        }
    }
}
