// The picture of the idle screen: hills, fields and the road's last kilometre to the village.
pragma ComponentBehavior: Bound
import QtQuick
import QtQuick.Shapes

Item {
    id: scene

    readonly property real w: width
    readonly property real h: height

    Rectangle {
        x: scene.w * 0.7
        y: scene.h * 0.02
        width: scene.h * 0.3
        height: width
        radius: width / 2
        color: Theme.accent
    }
    Shape {
        anchors.fill: parent

        ShapePath {
            strokeWidth: -1
            fillColor: "#a9cdb2"
            startX: 0
            startY: scene.h * 0.42
            PathQuad {
                x: scene.w * 0.45; y: scene.h * 0.3
                controlX: scene.w * 0.22; controlY: scene.h * 0.05
            }
            PathQuad {
                x: scene.w; y: scene.h * 0.34
                controlX: scene.w * 0.72; controlY: scene.h * 0.62
            }
            PathLine { x: scene.w; y: scene.h }
            PathLine { x: 0; y: scene.h }
        }
        ShapePath {
            strokeWidth: -1
            fillColor: "#5f9e78"
            startX: 0
            startY: scene.h * 0.62
            PathQuad {
                x: scene.w * 0.55; y: scene.h * 0.56
                controlX: scene.w * 0.3; controlY: scene.h * 0.3
            }
            PathQuad {
                x: scene.w; y: scene.h * 0.46
                controlX: scene.w * 0.8; controlY: scene.h * 0.72
            }
            PathLine { x: scene.w; y: scene.h }
            PathLine { x: 0; y: scene.h }
        }
        ShapePath {
            strokeWidth: -1
            fillColor: Theme.brand
            startX: 0
            startY: scene.h * 0.74
            PathQuad {
                x: scene.w * 0.5; y: scene.h * 0.78
                controlX: scene.w * 0.2; controlY: scene.h * 0.56
            }
            PathQuad {
                x: scene.w; y: scene.h * 0.68
                controlX: scene.w * 0.8; controlY: scene.h * 0.94
            }
            PathLine { x: scene.w; y: scene.h }
            PathLine { x: 0; y: scene.h }
        }
        ShapePath {
            strokeWidth: -1
            fillColor: Theme.paper
            startX: scene.w * 0.3
            startY: scene.h
            PathCubic {
                x: scene.w * 0.735; y: scene.h * 0.625
                control1X: scene.w * 0.42; control1Y: scene.h * 0.78
                control2X: scene.w * 0.74; control2Y: scene.h * 0.76
            }
            PathLine { x: scene.w * 0.747; y: scene.h * 0.625 }
            PathCubic {
                x: scene.w * 0.42; y: scene.h
                control1X: scene.w * 0.785; control1Y: scene.h * 0.78
                control2X: scene.w * 0.52; control2Y: scene.h * 0.82
            }
        }
    }
    Repeater {
        model: [[0.76, 0.628, 1], [0.83, 0.618, 0.8], [0.675, 0.622, 0.75]]

        Item {
            id: house

            required property var modelData
            readonly property real s: scene.h * 0.1 * modelData[2]

            x: scene.w * modelData[0]
            y: scene.h * modelData[1] - s * 0.62

            Shape {
                ShapePath {
                    strokeWidth: -1
                    fillColor: "#7a2e22"
                    startX: -house.s * 0.12
                    startY: 0
                    PathLine { x: house.s * 0.5; y: -house.s * 0.5 }
                    PathLine { x: house.s * 1.12; y: 0 }
                }
            }
            Rectangle {
                width: house.s
                height: house.s * 0.62
                color: Theme.surface
            }
            Rectangle {
                x: house.s * 0.4
                y: house.s * 0.22
                width: house.s * 0.22
                height: house.s * 0.4
                color: Theme.brandDeep
            }
        }
    }
}
