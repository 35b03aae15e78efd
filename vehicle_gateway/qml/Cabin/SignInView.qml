// Standing, and nobody has signed in.
import QtQuick

Item {
    id: view

    required property var panel
    readonly property bool card: panel.state.card === true
    readonly property bool pin: panel.state.pin === true
    readonly property int locked: panel.state.locked_s ?? 0

    signal pinWanted

    Column {
        id: words

        x: 2 * Theme.margin
        y: 2 * Theme.margin
        width: parent.width - 4 * Theme.margin
        spacing: Theme.gap

        Label {
            objectName: "sign_in"
            width: parent.width
            font.pixelSize: Theme.title
            font.bold: true
            horizontalAlignment: Text.AlignHCenter
            text: view.card ? Words.say("请刷司机卡登录", "Hold your card to sign in") : Words.say(
                "请登录", "Please sign in")
        }
        Label {
            width: parent.width
            color: Theme.muted
            horizontalAlignment: Text.AlignHCenter
            text: Words.say("未登录时只记录车辆安全数据，不形成个人记录。",
                "Until then only vehicle safety data are kept.")
        }
    }
    TouchButton {
        objectName: "pin"
        anchors.horizontalCenter: parent.horizontalCenter
        anchors.bottom: parent.bottom
        anchors.bottomMargin: 64
        visible: view.pin
        enabled: view.locked === 0
        kind: "strong"
        text: view.locked > 0 ? Words.say("请等 %1 秒", "Wait %1 s").arg(view.locked) : Words.say(
            "输入编号和密码", "Type number and PIN")
        onClicked: view.pinWanted()
    }
}
