// What the panel says by itself, in both languages; what comes from the gateway has both already.
pragma Singleton
import QtQuick

QtObject {
    property string language: "zh"

    readonly property var alerts: ({
            "collision": ["碰撞", "Collision"],
            "rollover": ["侧翻", "Rollover"],
            "door-open-moving": ["车门未关", "Door open"],
            "overspeed": ["您已超速", "Overspeed"],
            "fatigue": ["该休息了", "Time to rest"],
            "seat-belt": ["请系安全带", "Seat belt"],
            "night-ban": ["此路段夜间禁行", "Closed at night"],
            "route-deviation": ["偏离线路", "Off the route"]
        })
    readonly property var warnings: ({
            "overspeed": ["请减速", "Slow down"],
            "fatigue": ["请准备休息", "Rest soon"]
        })
    readonly property var notices: ({
            "welcome": ["登录成功，一路平安", "Signed in. Drive safely"],
            "goodbye": ["已退出，辛苦了", "Signed out. Thank you"],
            "unknown": ["卡或密码不对，请重试", "Card or PIN is wrong. Try again"],
            "locked": ["试错次数过多，请稍候", "Too many tries. Please wait"],
            "no-roster": ["本车还没有司机名单，请联系车队", "No driver list here yet. Call the fleet"],
            "moving": ["行车中不能操作，请停车", "Not while driving. Stop first"],
            "agreed": ["已同意，从现在起记录", "Agreed. Recording from now on"],
            "withdrawn": ["已撤回，不再记录您的驾驶", "Withdrawn. Nothing of you is recorded"]
        })

    function say(zh: string, en: string): string {
        return language === "en" ? en : zh;
    }

    function pick(pair: var): string {
        return pair ? pair[language === "en" ? 1 : 0] : "";
    }

    function other(pair: var): string {
        return pair ? pair[language === "en" ? 0 : 1] : "";
    }

    function alert(kind: string, level: string): var {
        return (level === "warn" ? warnings[kind] : undefined) ?? alerts[kind] ?? [kind, kind];
    }
}
