// While the vehicle moves: one thing at a time, and nothing to touch but silence.
import QtQuick

Item {
    id: view

    required property var panel
    readonly property bool calm: (panel.state.alerts ?? []).length === 0
    readonly property var driver: panel.state.driver ?? null

    AlertPlate {
        anchors.fill: parent
        visible: !view.calm
        panel: view.panel
    }
    Column {
        anchors.centerIn: parent
        width: parent.width - 4 * Theme.margin
        visible: view.calm
        spacing: Theme.gap

        Label {
            objectName: "calm"
            width: parent.width
            text: Words.say("一路平安", "Drive safely")
            font.pixelSize: Theme.title
            font.bold: true
            horizontalAlignment: Text.AlignHCenter
        }
        Label {
            objectName: "who"
            width: parent.width
            color: Theme.muted
            horizontalAlignment: Text.AlignHCenter
            text: !view.driver ? Words.say("未登录：停车后请刷卡", "Nobody signed in: hold your card")
                : view.driver.consented ? Words.say("已登录，正在记录", "Signed in, recording")
                : Words.say("已登录，不记录您的驾驶", "Signed in, nothing of you is recorded")
        }
    }
}
