// The villager's screen: the idle picture, or one step of a service.
import QtQuick

CounterWindow {
    id: window

    title: qsTr("最后一公里：客户屏")

    Attract {
        anchors.fill: parent
        visible: window.side.step === "idle"
        side: window.side
    }
}
