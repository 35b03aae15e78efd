"""Views as a withdrawal shows them, in both languages: what the shell is drawn and measured with.

Place in the flow: tests/gui only; built of the real structs of kiosk_app.view. The texts are as
long as the longest that the services of this repository send.

* `PAGES` names each page by its step; a page is made for `zh` or `en`.
"""

from __future__ import annotations

import msgspec

from kiosk_app.view import Button, Choice, Input, Line, ScreenView, StatusView, Views

RECEIPT = """\
      助农金融服务点
        现金支取凭条
--------------------------------
服务点        吉林榆树新立村
日期        2026-11-24 10:35:12
户名                      *秀英
账号        6230 **** **** 0417
金额                  ¥500.00
大写            人民币伍佰元整
流水      kiosk-0001/17/9c2f41ab
--------------------------------
状态                    待上传
      联网后自动入账，请留存
"""
MONEY = {
    "fen": 50_000, "digits": "500.00", "capitals": "人民币伍佰元整", "banknotes": [[10_000, 5]],
}  # fmt: skip
MANY_NOTES = {
    "fen": 198_880,
    "digits": "1,988.80",
    "capitals": "人民币壹仟玖佰捌拾捌元捌角整",
    "banknotes": [
        [10_000, 19],
        [5_000, 1],
        [2_000, 1],
        [1_000, 1],
        [500, 1],
        [100, 3],
        [50, 1],
        [10, 3],
    ],
}


def status(
    language: str, *, online: bool = False, unsent: int = 3, paper_ok: bool = True
) -> StatusView:
    return StatusView(online, "11-24 10:32", unsent, paper_ok, 1_500_00, "10:35", language)


def page(name: str, language: str) -> Views:
    """Returns the views of a page; KeyError for an unknown one."""
    operator, customer, receipt = PAGES[name](language)
    return Views(operator, customer, status(language), receipt, name != "idle")


def say(language: str, chinese: str, english: str) -> str:
    return chinese if language == "zh" else english


def screen(side: str, step: str, title: str, **parts: object) -> ScreenView:
    blank: dict[str, object] = {
        "lines": [],
        "choices": [],
        "input": None,
        "buttons": [],
        "busy": "",
        "notice": "",
    }
    rest = {"notice_kind": "", "voice": "", "money": None}
    named = {"side": side, "step": step, "title": title}
    return msgspec.convert(msgspec.to_builtins({**named, **blank, **rest, **parts}), ScreenView)


def cancel(language: str) -> Button:
    return Button("cancel", say(language, "取消", "Cancel"), True, "plain")


Page = tuple[ScreenView, ScreenView, str | None]


def services(language: str) -> list[Choice]:
    return [
        Choice(
            "balance",
            say(language, "余额查询", "Balance"),
            say(language, "查询账户余额，打印凭条", "Account balance with a receipt"),
        ),
        Choice(
            "cash_withdrawal",
            say(language, "助农取款", "Cash withdrawal"),
            say(language, "每卡每日不超过 2,000 元", "At most ¥2,000 a card and day"),
        ),
        Choice(
            "cash_remittance",
            say(language, "现金汇款", "Cash remittance"),
            say(language, "收取现金，汇入指定账户", "Cash in, to any account"),
        ),
        Choice("transfer", say(language, "转账", "Transfer"), ""),
        Choice(
            "bills",
            say(language, "生活缴费", "Pay bills"),
            say(
                language, "电费、水费、话费、城乡居民医保", "Power, water, phone, medical insurance"
            ),
        ),
    ]


def idle(language: str) -> Page:
    return (
        screen(
            "operator",
            "idle",
            say(language, "请选择业务", "Choose a service"),
            choices=services(language),
        ),
        screen(
            "customer",
            "idle",
            say(
                language,
                "您好，请问您要办什么业务？",
                "Welcome. Please tell the agent what you need",
            ),
            lines=[
                Line(
                    "",
                    say(
                        language,
                        "请带好身份证或银行卡",
                        "Please have your ID card or bank card ready",
                    ),
                    "normal",
                    False,
                )
            ],
        ),
        RECEIPT,
    )


def read_card(language: str) -> Page:
    busy = say(language, "正在读取身份证，请不要移开", "Reading the ID card, please leave it there")
    return (
        screen(
            "operator",
            "read_card",
            say(language, "助农取款：读取身份证", "Cash withdrawal: read the ID card"),
            lines=[
                Line(
                    say(language, "第一步", "Step 1"),
                    say(
                        language,
                        "请客户把身份证放在读卡器上",
                        "Ask the customer to put the ID card on the reader",
                    ),
                    "normal",
                    False,
                )
            ],
            busy=busy,
            buttons=[cancel(language)],
        ),
        screen(
            "customer",
            "read_card",
            say(language, "请把身份证放在读卡器上", "Please put your ID card on the reader"),
            busy=busy,
            buttons=[cancel(language)],
        ),
        None,
    )


def amount(language: str) -> Page:
    return (
        screen(
            "operator",
            "amount",
            say(
                language,
                "助农取款：客户正在输入金额",
                "Cash withdrawal: the customer types the amount",
            ),
            lines=[Line(say(language, "客户", "Customer"), "*秀英", "large", False)],
            busy=say(language, "等待客户", "Waiting for the customer"),
            buttons=[cancel(language)],
        ),
        screen(
            "customer",
            "amount",
            say(language, "请输入取款金额", "How much would you like to withdraw?"),
            lines=[
                Line(say(language, "户名", "Name"), "王秀英", "large", True),
                Line(say(language, "可用余额", "Available"), "¥3,286.50", "money", True),
                Line(say(language, "今日还可取", "Left today"), "¥2,000.00", "normal", True),
            ],
            notice=say(
                language, "取款金额须为 10 元的整数倍", "The amount must be a multiple of ¥10"
            ),
            notice_kind="error",
            input=Input(
                name="amount",
                kind="amount",
                unit=say(language, "元", "yuan"),
                min_fen=1000,
                max_fen=200_000,
                step_fen=1000,
                hint=say(language, "10 元的整数倍，最多 2,000 元", "Whole tens, at most ¥2,000"),
            ),
            buttons=[cancel(language)],
        ),
        None,
    )


def phone(language: str) -> Page:
    field = Input(
        name="phone",
        kind="digits",
        unit="",
        min_fen=0,
        max_fen=0,
        step_fen=0,
        hint=say(language, "11 位手机号码", "A mobile number of 11 figures"),
    )
    ask = say(language, "请输入手机号码", "Please type the mobile number")
    return (
        screen("operator", "phone", ask, input=field, buttons=[cancel(language)]),
        screen("customer", "phone", ask, input=field, buttons=[cancel(language)]),
        None,
    )


def cents(language: str) -> Page:
    field = Input(
        name="amount",
        kind="amount",
        unit=say(language, "元", "yuan"),
        min_fen=1,
        max_fen=100_000,
        step_fen=1,
        hint="",
    )
    return (
        screen(
            "operator",
            "cents",
            say(language, "请输入电费金额", "Type the amount of the power bill"),
            input=field,
            buttons=[cancel(language)],
        ),
        screen("customer", "cents", say(language, "请稍候", "One moment please")),
        None,
    )


def check_amount(language: str) -> ScreenView:
    buttons = [
        Button("confirm", say(language, "确认取款", "Confirm withdrawal"), True, "primary"),
        cancel(language),
    ]
    return screen(
        "customer",
        "confirm",
        say(language, "请核对取款金额", "Please check the amount"),
        lines=[
            Line(say(language, "户名", "Name"), "王秀英", "large", True),
            Line(say(language, "账号", "Account"), "6230 **** **** 0417", "normal", True),
            Line(
                say(language, "业务", "Service"),
                say(language, "助农取款", "Cash withdrawal"),
                "normal",
                False,
            ),
            Line(say(language, "手续费", "Fee"), "¥0.00", "normal", False),
        ],
        money=MONEY,
        buttons=buttons,
    )


def confirm(language: str) -> Page:
    return (
        screen(
            "operator",
            "confirm",
            say(
                language,
                "请点清现金，客户确认后付款",
                "Count the cash; pay out after the customer confirmed",
            ),
            lines=[
                Line(say(language, "客户", "Customer"), "*秀英", "normal", False),
                Line(
                    say(language, "业务", "Service"),
                    say(language, "助农取款", "Cash withdrawal"),
                    "normal",
                    False,
                ),
            ],
            money=MONEY,
            buttons=[
                Button("confirm", say(language, "现金已付", "Cash paid out"), False, "primary"),
                cancel(language),
            ],
        ),
        check_amount(language),
        None,
    )


def many_notes(language: str) -> Page:
    title = say(language, "请核对金额", "Please check the amount")
    buttons = [
        Button("confirm", say(language, "确认", "Confirm"), True, "primary"),
        cancel(language),
    ]
    return (
        screen("operator", "many_notes", title, money=MANY_NOTES, buttons=buttons),
        screen("customer", "many_notes", title, money=MANY_NOTES, buttons=buttons),
        None,
    )


def done(language: str) -> Page:
    notice = say(
        language,
        "取款成功。网络恢复后自动入账，请收好凭条。",
        "Done. It will be posted when the network is back; please keep the receipt.",
    )
    lines = [
        Line(
            say(language, "状态", "Status"), say(language, "待上传", "To be sent"), "large", False
        ),
        Line(say(language, "流水号", "Number"), "kiosk-0001/17/9c2f41ab", "normal", False),
    ]
    finish = Button("finish", say(language, "完成", "Finish"), True, "primary")
    return (
        screen(
            "operator",
            "done",
            say(language, "业务完成", "Service finished"),
            lines=lines,
            notice=notice,
            notice_kind="success",
            buttons=[finish],
        ),
        screen(
            "customer",
            "done",
            say(language, "请收好现金、凭条和证件", "Please take your cash, receipt and card"),
            lines=[
                *lines,
                Line(say(language, "可用余额", "Available"), "¥2,786.50", "money", True),
            ],
            notice=notice,
            notice_kind="success",
            buttons=[finish],
        ),
        RECEIPT,
    )


def warning(language: str) -> Page:
    notice = say(
        language,
        "打印机缺纸：请装入 58 毫米热敏纸后按“重试”。现金已登记，不会丢失。",
        "The printer is out of paper: load 58 mm thermal paper and "
        "press Retry. The cash is recorded and safe.",
    )
    buttons = [
        Button("retry", say(language, "重试", "Retry"), True, "primary"),
        Button("skip", say(language, "不打印", "Without receipt"), True, "plain"),
        Button("stop", say(language, "终止业务", "Stop the service"), True, "danger"),
    ]
    return (
        screen(
            "operator",
            "warning",
            say(language, "打印凭条", "Print the receipt"),
            notice=notice,
            notice_kind="warning",
            buttons=buttons,
        ),
        screen(
            "customer",
            "warning",
            say(language, "请稍候", "One moment please"),
            notice=say(language, "正在打印凭条", "Printing the receipt"),
            notice_kind="info",
        ),
        None,
    )


PAGES = {
    "idle": idle,
    "read_card": read_card,
    "amount": amount,
    "phone": phone,
    "cents": cents,
    "confirm": confirm,
    "many_notes": many_notes,
    "done": done,
    "warning": warning,
}
