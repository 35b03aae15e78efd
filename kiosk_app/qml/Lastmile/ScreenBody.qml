// One step of a service, the same on both sides: words at one hand, what to touch or check at
// the other.
//
// - Landscape puts the panel (keypad, money or receipt) at the right, portrait below.
// - What was typed lives here only, and is gone with the step or its field.
import QtQuick

Item {
    id: body

    required property var side
    property string receipt: ""
    readonly property bool portrait: height > width
    readonly property bool typing: side.field.kind === "amount" || side.field.kind === "digits"
    readonly property bool moneyShown: side.money.digits !== undefined
    readonly property bool reprintable: receipt !== "" && !typing && !moneyShown
    // On a small screen many choices need the width; the reprint button stays.
    readonly property bool receiptShown: reprintable && (portrait || side.choices.length <= 3
        || width >= Theme.mm(300))
    readonly property bool panelled: typing || moneyShown || receiptShown
    // A page that only tells one thing tells it large.
    readonly property bool roomy: !panelled && side.choices.length === 0 && side.lines.length <= 1
    readonly property real panelWidth: portrait ? width : !panelled ? 0 : typing
        ? pad.implicitWidth : moneyShown ? Theme.mm(112) : Theme.mm(120)
    readonly property real gutter: panelled ? Theme.mm(8) : 0

    Connections {
        target: body.side

        function onStepChanged(): void {
            pad.typed = "";
        }
        function onFieldChanged(): void {
            pad.typed = "";
        }
    }

    Flickable {
        id: reading

        width: body.portrait ? body.width
            : Math.min(body.width - body.panelWidth - body.gutter, Theme.mm(body.roomy ? 290 : 236))
        height: body.portrait ? body.height - panel.height - (body.panelled ? Theme.mm(4) : 0)
            : body.height
        contentWidth: width
        contentHeight: words.height
        interactive: contentHeight > height
        clip: interactive

        Column {
            id: words

            width: reading.width
            spacing: Theme.mm(body.roomy ? 7 : 4)

            Label {
                objectName: "title"
                width: parent.width
                visible: text !== ""
                text: body.side.title
                font.pixelSize: body.roomy ? Theme.pt(40) : Theme.title
                font.bold: true
                color: Theme.brandDeep
                Accessible.role: Accessible.Heading
            }
            NoticeBar {
                width: parent.width
                text: body.side.alert
                kind: "warning"
                objectName: "alert"
            }
            NoticeBar {
                width: parent.width
                text: body.side.notice
                kind: body.side.noticeKind
                large: body.roomy
            }
            BusyBar {
                width: parent.width
                text: body.side.step === "" ? qsTr("正在启动，请稍候") : body.side.busy
                large: body.roomy
            }
            LineList {
                width: parent.width
                lines: body.side.lines
                large: body.roomy
            }
            ChoiceList {
                width: parent.width
                side: body.side
            }
        }
    }
    MoreBelow {
        flickable: reading
    }
    Item {
        id: panel

        x: body.portrait ? 0 : body.width - width
        y: body.portrait ? body.height - height : 0
        width: body.panelWidth
        height: !body.portrait ? body.height : typist.visible ? typist.height : cash.visible
            ? cash.implicitHeight : body.receiptShown ? Theme.mm(110) : 0

        Column {
            id: typist

            visible: body.typing
            width: Math.min(parent.width, Theme.mm(170))
            anchors.horizontalCenter: parent.horizontalCenter
            spacing: Theme.mm(4)

            EntryField {
                width: parent.width
                field: body.side.field
                typed: pad.typed
            }
            Keypad {
                id: pad

                anchors.horizontalCenter: parent.horizontalCenter
                field: body.side.field
                onEntered: text => body.side.enter(text)
            }
        }
        MoneyPanel {
            id: cash

            visible: shown && !body.typing
            width: parent.width
            money: body.side.money
        }
        Receipt {
            id: slip

            anchors.fill: parent
            visible: body.receiptShown
            text: body.receipt
        }
    }
}
