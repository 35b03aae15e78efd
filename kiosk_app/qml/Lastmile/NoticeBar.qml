// One sentence that needs attention; its kind shows as a sign and a colour, never colour alone.
import QtQuick

Rectangle {
    id: bar

    property string text: ""
    property bool large: false
    property string kind: "info"
    readonly property string known: Theme.noticeGround[kind] === undefined ? "info" : kind
    readonly property color tone: Theme.noticeInk[known]
    readonly property var signs: ({
            "info": "i",
            "warning": "!",
            "error": "×",
            "success": "✓"
        })

    visible: text !== ""
    implicitHeight: visible ? Math.max(Theme.mm(14), words.height + 2 * Theme.gap) : 0
    radius: Theme.radius
    color: Theme.noticeGround[known]
    Accessible.role: Accessible.AlertMessage
    Accessible.name: text

    Rectangle {
        id: sign

        x: Theme.mm(4)
        anchors.verticalCenter: parent.verticalCenter
        width: Theme.mm(9)
        height: width
        radius: bar.kind === "warning" || bar.kind === "error" ? Theme.radius : width / 2
        color: bar.tone

        Label {
            anchors.centerIn: parent
            text: bar.signs[bar.known]
            color: "#ffffff"
            font.pixelSize: Theme.large
            font.bold: true
            Accessible.ignored: true
        }
    }
    Label {
        id: words

        objectName: "notice"
        anchors.left: sign.right
        anchors.leftMargin: Theme.mm(4)
        anchors.right: parent.right
        anchors.rightMargin: Theme.mm(4)
        anchors.verticalCenter: parent.verticalCenter
        text: bar.text
        color: bar.tone
        font.pixelSize: bar.large ? Theme.large : Theme.body
        font.bold: true
        Accessible.ignored: true
    }
}
