// The agent's screen. It is given no private line, and its engine holds no reference to the
// customer's.
import QtQuick

CounterWindow {
    title: qsTr("最后一公里：操作屏")
    full: true
    receipt: side.receipt
}
