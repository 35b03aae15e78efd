// What both windows are: a status bar, one step of a service and its buttons, and a cover over all.
import QtQuick

Window {
    id: window

    required property var side
    required property var status
    // Pixels of a real millimetre of this screen.
    required property real millimetre
    property bool full: false
    property string receipt: ""
    default property alias extra: front.data

    color: Theme.paper

    Binding {
        target: Theme
        property: "unit"
        value: Math.min(Math.min(window.width, window.height) / 195, Math.max(window.width,
            window.height) / 260, 1.5 * window.millimetre)
    }
    Item {
        id: contents

        anchors.fill: parent
        visible: !blank.shown

        StatusBar {
            id: bar

            width: parent.width
            height: implicitHeight
            side: window.side
            status: window.status.values
            full: window.full
        }
        ScreenBody {
            id: body

            anchors.top: bar.bottom
            anchors.bottom: actions.top
            anchors.left: parent.left
            anchors.right: parent.right
            anchors.margins: Theme.margin
            anchors.bottomMargin: Theme.mm(4)
            visible: !front.showing
            side: window.side
            receipt: window.receipt
        }
        ActionRow {
            id: actions

            anchors.bottom: parent.bottom
            anchors.left: parent.left
            anchors.right: parent.right
            anchors.margins: Theme.margin
            height: filled ? implicitHeight : 0
            visible: filled
            side: window.side
            reprintable: body.reprintable
        }
        Item {
            id: front

            readonly property bool showing: visibleChildren.length > 0

            anchors.top: bar.bottom
            anchors.bottom: parent.bottom
            width: parent.width
        }
    }
    PrivacyBlank {
        id: blank

        anchors.fill: parent
        shown: window.side.blanked
    }
}
