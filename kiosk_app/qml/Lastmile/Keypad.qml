// Our own keypad: figures only, 20 mm keys with 3 mm gaps; what is typed leaves only by the
// enter key.
//
// - An amount is yuan as typed text; the shell turns it into fen exactly, never by floating point.
// - The point appears only where the step of the amount is not whole yuan.
pragma ComponentBehavior: Bound
import QtQuick

Item {
    id: pad

    // The `Input` of the step: {"name", "kind", "step_fen", ...}.
    required property var field
    property string typed: ""
    readonly property bool amount: field.kind === "amount"
    readonly property bool cents: amount && field.step_fen % 100 !== 0
    readonly property int figuresMax: amount ? 7 : 20
    // Wide enough for the words on its keys in every language.
    readonly property int wordWidth: Theme.mm(30)

    signal entered(text: string)

    function type(figures: string): void {
        let next = typed + figures;
        if (amount)
            next = next.replace(/^0+(?=\d)/, "");
        if (figures === ".")
            next = typed.includes(".") ? typed : (typed === "" ? "0." : typed + ".");
        const parts = next.split(".");
        if (parts[0].length <= figuresMax && (parts.length === 1 || parts[1].length <= 2))
            typed = next;
    }

    function erase(): void {
        typed = typed.slice(0, -1);
    }

    function enter(): void {
        if (typed !== "")
            entered(typed);
    }

    implicitWidth: 3 * Theme.target + 3 * Theme.gap + wordWidth
    implicitHeight: 4 * Theme.target + 3 * Theme.gap

    Grid {
        columns: 3
        spacing: Theme.gap

        Repeater {
            model: ["1", "2", "3", "4", "5", "6", "7", "8", "9"]
            Key {
                required property string modelData

                objectName: "key_" + modelData
                text: modelData
                onClicked: pad.type(modelData)
            }
        }
    }
    Row {
        y: 3 * (Theme.target + Theme.gap)
        spacing: Theme.gap

        Key {
            objectName: "key_00"
            visible: pad.amount
            text: "00"
            onClicked: pad.type("00")
        }
        Key {
            objectName: "key_0"
            text: "0"
            implicitWidth: pad.cents ? Theme.target : pad.amount ? 2 * Theme.target + Theme.gap
                : 3 * Theme.target + 2 * Theme.gap
            onClicked: pad.type("0")
        }
        Key {
            objectName: "key_dot"
            visible: pad.cents
            text: "."
            Accessible.name: qsTr("小数点")
            onClicked: pad.type(".")
        }
    }
    Column {
        x: 3 * (Theme.target + Theme.gap)
        spacing: Theme.gap

        Key {
            objectName: "key_back"
            implicitWidth: pad.wordWidth
            text: "⌫"
            Accessible.name: qsTr("退格")
            enabled: pad.typed !== ""
            onClicked: pad.erase()
        }
        Key {
            objectName: "key_clear"
            implicitWidth: pad.wordWidth
            text: qsTr("清除")
            enabled: pad.typed !== ""
            onClicked: pad.typed = ""
        }
        Key {
            objectName: "key_enter"
            implicitWidth: pad.wordWidth
            implicitHeight: 2 * Theme.target + Theme.gap
            text: qsTr("确认")
            strong: true
            enabled: pad.typed !== "" && !pad.typed.endsWith(".")
            onClicked: pad.enter()
        }
    }
}
