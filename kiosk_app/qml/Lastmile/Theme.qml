// The one place of colours, type and sizes.
//
// - `unit` is one design millimetre in pixels. Each window has its own engine and so its own Theme;
//   layouts are made for a short side of 195 and a long side of at least 260 units.
// - Text is never below 18 pt, a touch target never below 20 mm, a gap never below 3 mm.
// - Every pair of text and ground has a contrast of at least 7:1; tests/gui measures the painted
//   pairs.
pragma Singleton
import QtQuick

QtObject {
    property real unit: 3.94
    property string family: "Noto Sans CJK SC"
    property string monospace: "Noto Sans Mono CJK SC"

    readonly property color paper: "#f6f4ee"
    readonly property color surface: "#ffffff"
    readonly property color ink: "#15211b"
    readonly property color muted: "#3f4a44"
    readonly property color hairline: "#c6ccc3"
    readonly property color brand: "#0b5138"
    readonly property color brandDeep: "#073a28"
    readonly property color brandText: "#ffffff"
    readonly property color accent: "#f2c14e"
    readonly property color danger: "#8c1616"
    readonly property color disabled: "#e4e6e0"
    readonly property color disabledText: "#3f4a44"
    readonly property color pressedPlain: "#dfe8e1"

    readonly property var noticeGround: ({
            "info": "#e2edf6",
            "warning": "#ffe7ad",
            "error": "#fbe2de",
            "success": "#dbeee2"
        })
    readonly property var noticeInk: ({
            "info": "#10344f",
            "warning": "#3d2a00",
            "error": "#6f0f0f",
            "success": "#07402a"
        })

    readonly property int target: mm(20)
    readonly property int gap: mm(3)
    readonly property int margin: mm(6)
    readonly property int radius: mm(2)
    readonly property int line: Math.max(1, mm(0.3))

    readonly property int small: pt(18)
    readonly property int body: pt(20)
    readonly property int large: pt(24)
    readonly property int title: pt(30)
    readonly property int huge: pt(46)

    // Rounded up, so that a target of 20 mm is never 19.9.
    function mm(millimetres: real): int {
        return Math.ceil(millimetres * unit);
    }

    function pt(points: real): int {
        return Math.ceil(points * 0.352778 * unit);
    }

    // The colour of a banknote by its value in fen, dark enough for white figures.
    function note(fen: int): color {
        const colours = {
            "10000": "#8f1d2f",
            "5000": "#1d5638",
            "2000": "#63390f",
            "1000": "#1f446f",
            "500": "#552a6e",
            "100": "#4a4d10"
        };
        return colours[String(fen)] ?? "#4a4d52";
    }
}
