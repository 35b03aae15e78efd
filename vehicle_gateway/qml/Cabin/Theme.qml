// The one place of colours and sizes of the driver's panel, by day and by night.
//
// - Made for 800 x 480 pixels on 7 inches: 5.2 pixels a millimetre, seen from 70 cm.
// - A touch target is at least 15 mm in both directions, a gap at least 2 mm; text is at least
//   24 pixels, 23 minutes of arc (ISO 15008 asks for 20 as what is good to read).
// - Every pair of text and ground has a contrast of at least 7:1; tests/gui measures the painted
//   pairs. At night nothing is white: the road stays visible.
pragma Singleton
import QtQuick

QtObject {
    property bool night: false
    property string family: "Noto Sans CJK SC"

    readonly property color paper: night ? "#0a0e0c" : "#f6f4ee"
    readonly property color surface: night ? "#161d19" : "#ffffff"
    readonly property color ink: night ? "#d3dad5" : "#15211b"
    readonly property color muted: night ? "#aab5ad" : "#3f4a44"
    readonly property color hairline: night ? "#3a4740" : "#b9c0b7"
    readonly property color brand: night ? "#16392a" : "#0b5138"
    readonly property color brandInk: night ? "#d3ebdd" : "#ffffff"
    readonly property color danger: night ? "#4a0f0f" : "#8c1616"
    readonly property color dangerInk: night ? "#ffdcd6" : "#ffffff"
    readonly property color pressed: night ? "#25302a" : "#dfe8e1"
    readonly property color disabled: night ? "#141a17" : "#e4e6e0"
    readonly property color disabledInk: night ? "#aab5ad" : "#3f4a44"
    readonly property color warn: night ? "#3d2c00" : "#ffd970"
    readonly property color warnInk: night ? "#ffe3a0" : "#2b1d00"
    readonly property color alarm: night ? "#610c0c" : "#8f1010"
    readonly property color alarmInk: night ? "#ffe1dc" : "#ffffff"

    readonly property int target: 80
    readonly property int gap: 12
    readonly property int margin: 20
    readonly property int radius: 12
    readonly property int bar: 88

    readonly property int small: 24
    readonly property int body: 28
    readonly property int large: 36
    readonly property int title: 48
    readonly property int huge: 104
}
