// A number, then a PIN: typed here, sent at once, kept nowhere.
pragma ComponentBehavior: Bound
import QtQuick

Item {
    id: view

    required property var panel
    property string number: ""
    property string typed: ""
    readonly property bool second: number !== ""
    readonly property int least: second ? 4 : 2
    readonly property int most: second ? 8 : 6

    signal done

    function type(figure: string): void {
        if (typed.length < most)
            typed += figure;
        idle.restart();
    }

    function enter(): void {
        if (!second) {
            number = typed;
        } else {
            panel.act({"touch": "pin", "number": number, "pin": typed});
            clear();
            done();
        }
        typed = "";
        idle.restart();
    }

    function clear(): void {
        number = "";
        typed = "";
    }

    onVisibleChanged: clear()

    // What is left unfinished is forgotten.
    Timer {
        id: idle

        interval: 30000
        onTriggered: {
            view.clear();
            view.done();
        }
    }
    Column {
        x: Theme.margin
        y: Theme.margin
        width: 330
        spacing: Theme.margin

        Label {
            objectName: "pin_title"
            width: parent.width
            font.pixelSize: Theme.large
            font.bold: true
            text: view.second ? Words.say("密码", "PIN") : Words.say("司机编号", "Driver number")
        }
        Rectangle {
            width: parent.width
            height: Theme.target
            radius: Theme.radius
            color: Theme.surface
            border.width: 2
            border.color: Theme.hairline

            Label {
                objectName: "typed"
                anchors.centerIn: parent
                font.pixelSize: Theme.large
                font.letterSpacing: 6
                text: view.second ? "●".repeat(view.typed.length) : view.typed
            }
        }
        TouchButton {
            objectName: "back"
            text: Words.say("返回", "Back")
            onClicked: {
                view.clear();
                view.done();
            }
        }
    }
    Grid {
        anchors.right: parent.right
        anchors.rightMargin: Theme.margin
        anchors.verticalCenter: parent.verticalCenter
        columns: 3
        spacing: Theme.gap

        Repeater {
            model: ["1", "2", "3", "4", "5", "6", "7", "8", "9", "erase", "0", "enter"]
            TouchButton {
                required property string modelData

                objectName: "key_" + modelData
                width: 122
                height: Theme.target
                kind: modelData === "enter" ? "strong" : "plain"
                enabled: modelData === "enter" ? view.typed.length >= view.least : modelData
                    === "erase" ? view.typed !== "" : true
                text: modelData === "erase" ? Words.say("删除", "Erase") : modelData === "enter"
                    ? view.second ? Words.say("登录", "Sign in") : Words.say("下一步", "Next")
                    : modelData
                onClicked: {
                    if (modelData === "enter")
                        view.enter();
                    else if (modelData === "erase")
                        view.typed = view.typed.slice(0, -1);
                    else
                        view.type(modelData);
                }
            }
        }
    }
}
