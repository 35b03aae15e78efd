// The driver's screen: which of its few views is shown follows from the state alone.
//
//   silent gateway       OfflineView
//   moving               DriveView                  nothing to touch but silence
//   nobody signed in     SignInView, PinView
//   consent is due       ConsentView
//   signed in            HomeView, ConsentView when wanted
import QtQuick
import QtQuick.Window

Window {
    id: window

    required property var panel
    // What was touched last, while standing: "", "pin" or "consent".
    property string wanted: ""
    readonly property var state: panel.state
    readonly property bool signedIn: (state.driver ?? null) !== null
    readonly property string shown: !panel.heard ? "offline" : state.moving ? "drive" : !signedIn
        ? (wanted === "pin" && state.pin && state.locked_s === 0 ? "pin" : "signin") : state.ask
        || wanted === "consent" ? "consent" : "home"

    width: 800
    height: 480
    color: Theme.paper
    title: "Lastmile"

    onShownChanged: {
        if (shown !== wanted)
            wanted = "";
    }

    StatusBar {
        id: bar

        width: parent.width
        panel: window.panel
        visible: window.shown !== "offline"
    }
    NoticeLine {
        panel: window.panel
        x: Theme.gap
        y: (bar.height - height) / 2
        width: parent.width - 2 * Theme.gap - (window.state.moving ? 0 : bar.spare)
    }
    Item {
        anchors.top: bar.bottom
        anchors.bottom: parent.bottom
        width: parent.width

        DriveView {
            anchors.fill: parent
            visible: window.shown === "drive"
            panel: window.panel
        }
        SignInView {
            anchors.fill: parent
            visible: window.shown === "signin"
            panel: window.panel
            onPinWanted: window.wanted = "pin"
        }
        PinView {
            anchors.fill: parent
            visible: window.shown === "pin"
            panel: window.panel
            onDone: window.wanted = ""
        }
        ConsentView {
            anchors.fill: parent
            visible: window.shown === "consent"
            panel: window.panel
            onDone: window.wanted = ""
        }
        HomeView {
            anchors.fill: parent
            visible: window.shown === "home"
            panel: window.panel
            onConsentWanted: window.wanted = "consent"
        }
    }
    OfflineView {
        anchors.fill: parent
        visible: window.shown === "offline"
    }
}
