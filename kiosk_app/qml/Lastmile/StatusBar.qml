// The head of each screen, and it tells the truth: network, age of the figures, what waits,
// paper, limit.
//
// - The operator sees every cell; the customer sees network, age and clock.
// - A cell that needs somebody changes its ground and its words, not its colour alone.
import QtQuick

Rectangle {
    id: bar

    required property var side
    required property var status
    property bool full: false
    // An upright screen has room for what the agent must act on, and no more.
    readonly property bool wide: width >= Theme.mm(230)

    function yuan(fen: int): string {
        const figures = (fen / 100).toFixed(2).split(".");
        return figures[0].replace(/\B(?=(\d{3})+$)/g, ",") + "." + figures[1];
    }

    implicitHeight: Theme.target + 2 * Theme.mm(1.5)
    color: Theme.brandDeep

    Label {
        id: brand

        x: Theme.margin
        anchors.verticalCenter: parent.verticalCenter
        visible: x + implicitWidth + Theme.gap <= cells.x
        text: qsTr("助农金融服务点")
        font.pixelSize: Theme.large
        font.bold: true
        wrapMode: Text.NoWrap
        color: Theme.brandText
    }
    Row {
        id: cells

        anchors.right: language.left
        anchors.rightMargin: Theme.mm(4)
        anchors.verticalCenter: parent.verticalCenter
        spacing: Theme.mm(bar.full ? 2.2 : 3)

        StatusCell {
            objectName: "status_network"
            name: qsTr("网络")
            value: bar.status.online ? qsTr("在线") : qsTr("离线")
            alarm: !bar.status.online
        }
        StatusCell {
            objectName: "status_as_of"
            name: qsTr("数据截至")
            value: bar.status.as_of === "" ? qsTr("无数据") : bar.status.as_of
            alarm: bar.status.as_of === ""
        }
        StatusCell {
            objectName: "status_unsent"
            visible: bar.full
            name: qsTr("待上传")
            value: qsTr("%1 笔").arg(bar.status.unsent)
            alarm: bar.status.unsent > 0
        }
        StatusCell {
            objectName: "status_paper"
            visible: bar.full
            name: qsTr("打印纸")
            value: bar.status.paper_ok ? qsTr("正常") : qsTr("缺纸")
            alarm: !bar.status.paper_ok
        }
        StatusCell {
            objectName: "status_lease"
            visible: bar.full && bar.wide
            name: qsTr("离线额度")
            value: bar.status.lease_left_fen === undefined
                || bar.status.lease_left_fen === null ? "—" : "¥"
                + bar.yuan(bar.status.lease_left_fen)
        }
        StatusCell {
            objectName: "status_clock"
            visible: !bar.full || bar.wide
            name: qsTr("时间")
            value: bar.status.clock
        }
    }
    Key {
        id: language

        objectName: "button_language"
        anchors.right: parent.right
        anchors.rightMargin: Theme.mm(2)
        anchors.verticalCenter: parent.verticalCenter
        implicitWidth: Theme.mm(36)
        text: bar.status.language === "en" ? "中文" : "English"
        Accessible.name: bar.status.language === "en" ? "切换到中文" : "Switch to English"
        onClicked: bar.side.toggleLanguage()
    }
}
