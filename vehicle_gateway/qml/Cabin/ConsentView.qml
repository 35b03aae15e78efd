// The whole text, then a word: agree, decline, withdraw, or leave it as it is.
import QtQuick

Item {
    id: view

    required property var panel
    readonly property bool consented: panel.state.driver?.consented === true
    readonly property bool read: flick.contentY + flick.height > text.height - 8

    signal done

    onVisibleChanged: flick.contentY = 0

    Rectangle {
        x: Theme.margin
        y: Theme.gap
        width: parent.width - 2 * Theme.margin
        height: parent.height - Theme.target - 3 * Theme.gap
        radius: Theme.radius
        color: Theme.surface
        border.width: 2
        border.color: Theme.hairline

        Flickable {
            id: flick

            objectName: "consent_text"
            anchors.fill: parent
            anchors.margins: Theme.gap
            clip: true
            contentHeight: text.height
            boundsBehavior: Flickable.StopAtBounds

            Column {
                id: text

                width: flick.width - Theme.margin
                spacing: Theme.gap

                Label {
                    width: parent.width
                    font.bold: true
                    font.pixelSize: Theme.large
                    text: Words.say("驾驶数据同意书", "Consent to driving data")
                }
                Label {
                    objectName: "full_text"
                    width: parent.width
                    text: view.panel.texts[Words.language] ?? ""
                }
            }
        }
        // How far the text was read.
        Rectangle {
            anchors.right: parent.right
            anchors.rightMargin: 4
            y: Theme.gap + flick.visibleArea.yPosition * flick.height
            width: 6
            height: flick.visibleArea.heightRatio * flick.height
            radius: 3
            color: Theme.muted
            visible: flick.visibleArea.heightRatio < 1
        }
    }
    Row {
        id: acts

        anchors.right: parent.right
        anchors.rightMargin: Theme.margin
        anchors.bottom: parent.bottom
        anchors.bottomMargin: Theme.gap
        spacing: Theme.gap

        TouchButton {
            objectName: "withdraw"
            visible: view.consented
            kind: "danger"
            text: Words.say("撤回同意", "Withdraw")
            onClicked: {
                view.panel.act({"touch": "withdraw", "language": Words.language});
                view.done();
            }
        }
        TouchButton {
            objectName: "close"
            visible: view.consented
            text: Words.say("返回", "Back")
            onClicked: view.done()
        }
        TouchButton {
            objectName: "decline"
            visible: !view.consented
            text: Words.say("不同意，照常驾驶", "Decline and drive")
            onClicked: {
                view.panel.act({"touch": "decline"});
                view.done();
            }
        }
        TouchButton {
            objectName: "agree"
            visible: !view.consented
            enabled: view.read
            kind: "strong"
            text: view.read ? Words.say("我同意", "I agree") : Words.say("请读到末尾", "Read to the end")
            onClicked: {
                view.panel.agree(Words.language);
                view.done();
            }
        }
    }
}
