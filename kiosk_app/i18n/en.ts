<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="en" sourcelanguage="zh_CN">
<context>
    <name>ActionRow</name>
    <message>
        <source>补打凭条</source>
        <translation>Print it again</translation>
    </message>
</context>
<context>
    <name>CustomerWindow</name>
    <message>
        <source>最后一公里：客户屏</source>
        <translation>Lastmile: customer screen</translation>
    </message>
</context>
<context>
    <name>Keypad</name>
    <message>
        <source>小数点</source>
        <translation>Point</translation>
    </message>
    <message>
        <source>退格</source>
        <translation>Delete last figure</translation>
    </message>
    <message>
        <source>清除</source>
        <translation>Clear</translation>
    </message>
    <message>
        <source>确认</source>
        <translation>Enter</translation>
    </message>
</context>
<context>
    <name>MoreBelow</name>
    <message>
        <source>向上滑动看更多 ▼</source>
        <translation>Swipe up for more ▼</translation>
    </message>
</context>
<context>
    <name>OperatorWindow</name>
    <message>
        <source>最后一公里：操作屏</source>
        <translation>Lastmile: operator screen</translation>
    </message>
</context>
<context>
    <name>PrivacyBlank</name>
    <message>
        <source>屏幕已遮盖，请稍候</source>
        <translation>The screen is covered, one moment please</translation>
    </message>
</context>
<context>
    <name>Receipt</name>
    <message>
        <source>最近一张凭条</source>
        <translation>Last receipt</translation>
    </message>
</context>
<context>
    <name>ScreenBody</name>
    <message>
        <source>正在启动，请稍候</source>
        <translation>Starting, one moment please</translation>
    </message>
</context>
<context>
    <name>Shell</name>
    <message>
        <source>客户屏“%1”未连接，客户信息已遮盖。请检查它的电源和视频线，接好后自动恢复。</source>
        <translation>The customer screen %1 is not connected; the customer's data is covered. Check its power and cable; it returns by itself.</translation>
    </message>
</context>
<context>
    <name>StatusBar</name>
    <message>
        <source>助农金融服务点</source>
        <translation>Village bank counter</translation>
    </message>
    <message>
        <source>网络</source>
        <translation>Network</translation>
    </message>
    <message>
        <source>在线</source>
        <translation>Online</translation>
    </message>
    <message>
        <source>离线</source>
        <translation>Offline</translation>
    </message>
    <message>
        <source>数据截至</source>
        <translation>As of</translation>
    </message>
    <message>
        <source>无数据</source>
        <translation>No data</translation>
    </message>
    <message>
        <source>待上传</source>
        <translation>Unsent</translation>
    </message>
    <message>
        <source>%1 笔</source>
        <translation>%1</translation>
    </message>
    <message>
        <source>打印纸</source>
        <translation>Paper</translation>
    </message>
    <message>
        <source>正常</source>
        <translation>OK</translation>
    </message>
    <message>
        <source>缺纸</source>
        <translation>Out</translation>
    </message>
    <message>
        <source>离线额度</source>
        <translation>Offline limit</translation>
    </message>
    <message>
        <source>时间</source>
        <translation>Time</translation>
    </message>
</context>
</TS>
