"""What people write: small scripts of a conversation by topic, filled with names, days and products.

A text with `%(name)s` and the like is a pattern for one conversation's words; any other is used as it is.
"""

from dataclasses import dataclass
from random import Random

Lines = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Topic:
    """How a conversation about something opens and goes on, by who writes."""

    they_open: Lines
    we_open: Lines
    they_say: Lines
    we_say: Lines


THEY_CHAT: Lines = (
    "Ok thanks!",
    "Sounds good",
    "Yes",
    "No worries",
    "Perfect, thank you so much",
    "Can you call me instead?",
    "Who is this?",
    "Sorry, just saw this",
    "Let me check and get back to you",
    "That works for me",
    "Great, see you then",
    "👍",
    "lol ok",
    "Still waiting to hear back on this",
    "Any update?",
    "Thanks %(agent)s",
    "I'll be there in 10",
    "Could we do %(time)s instead?",
    "Appreciate it",
    "Not yet, will do it tonight",
)
WE_CHAT: Lines = (
    "You're welcome!",
    "Of course, happy to help",
    "Let me check on that for you",
    "Great question",
    "Thanks for your patience, %(name)s",
    "All set!",
    "I'll follow up by %(day)s",
    "Just checking in on this",
    "Perfect, I've noted that down",
    "Does %(day)s at %(time)s work?",
    "Sending it over now",
    "Got it, thank you!",
    "No problem at all",
    "Have a great %(day)s!",
    "Happy to jump on a quick call if that's easier",
)

TOPICS: tuple[Topic, ...] = (
    Topic(
        (
            "Hi, do you have anything open on %(day)s?",
            "Hey can I move my appointment to %(day)s %(time)s?",
            "I need to reschedule, sorry! Is %(day)s possible?",
            "Running late, should be there by %(time)s",
        ),
        (
            "Hi %(name)s, this is %(agent)s. A reminder of your appointment %(day)s at %(time)s. Reply "
            "YES to confirm.",
            "Hi %(name)s! We had a cancellation on %(day)s at %(time)s, would you like it?",
            "Hello %(name)s, you're due for a check-up. Book any time here: https://book.example.com/%(code)s",
        ),
        (
            "YES",
            "Yes confirmed",
            "I can't make %(time)s, anything later?",
            "Is parking available there?",
            "Should I bring anything?",
        ),
        (
            "You're booked for %(day)s at %(time)s ✅",
            "We can do %(time)s or first thing %(day)s",
            "Please arrive 10 minutes early and bring your ID and insurance card. If you have new paperwork you "
            "can fill it in online, it saves about fifteen minutes: https://forms.example.com/intake/%(code)s",
            "Parking is free behind the building",
        ),
    ),
    Topic(
        (
            "How much is the %(product)s?",
            "Is the %(product)s back in stock?",
            "Saw your ad for the %(product)s, still available?",
            "Does the %(product)s come with a warranty? My last one broke after a few months and I'd rather not "
            "go through all of that again, so I want to be sure before I order.",
        ),
        (
            "Hi %(name)s, it's %(agent)s. The %(product)s you asked about is back in stock!",
            "Hey %(name)s, your quote for the %(product)s is ready: %(amount)s all in.",
            "%(name)s, this week only: %(amount)s off the %(product)s. Details at https://shop.example.com/%(code)s",
        ),
        (
            "What's the best price you can do?",
            "%(amount)s is a bit more than I was hoping",
            "Ok let's do it, how do I pay?",
            "Can you send a photo?",
            "How long is delivery?",
        ),
        (
            "It's %(amount)s including delivery",
            "We have two left in %(city)s",
            "Here's the link: https://shop.example.com/%(code)s",
            "Delivery is usually 3 to 5 business days",
            "Yes! Two-year warranty, parts and labor. You can also add a third year for a small fee when you "
            "check out, and if anything fails in the first 30 days we simply swap it, no questions asked.",
        ),
    ),
    Topic(
        (
            "Where is my order %(order)s?",
            "Order %(order)s arrived damaged 😞",
            "Tracking for %(order)s hasn't moved since %(day)s",
            "I was charged twice for %(order)s",
        ),
        (
            "Good news %(name)s, order %(order)s shipped! Track it: https://track.example.com/%(order)s",
            "Hi %(name)s, order %(order)s will arrive %(day)s between 9 and %(time)s.",
            "Your order %(order)s is ready for pickup in %(city)s",
        ),
        (
            "It says delivered but I don't see it",
            "I left it with my neighbor, found it!",
            "When will the refund show up?",
            "This is the second time this happens",
            "Picture attached",
        ),
        (
            "So sorry about that, %(name)s. I'm looking into %(order)s right now",
            "A replacement goes out %(day)s, no need to send the old one back",
            "Refund of %(amount)s issued, it takes 3 to 5 days to appear",
            "Could you send me a picture of the label?",
        ),
    ),
    Topic(
        (
            "Hi %(agent)s, my friend gave me your number. Are you taking new clients?",
            "I'd like to see the place in %(city)s",
            "Is the one on Maple still on the market?",
            "We talked last month about refinancing, is the rate still good?",
        ),
        (
            "Hi %(name)s, %(agent)s here. Are you still looking in %(city)s?",
            "Hey %(name)s! Just following up on our call. Did you get a chance to look at the proposal?",
            "%(name)s, three new listings in %(city)s that fit what you told me: https://homes.example.com/%(code)s",
        ),
        (
            "We're still deciding",
            "Can we see it %(day)s?",
            "What would the monthly be?",
            "My budget is around %(amount)s",
            "Not interested, thanks",
        ),
        (
            "I can show it %(day)s at %(time)s, would that suit you both?",
            "Around %(amount)s a month with 20 down, before taxes and insurance. I'd want to run the exact "
            "numbers with the lender before you hold me to it, but it will not be far from that.",
            "Understood! I'll check back in a few weeks",
            "Sent the documents to your e-mail for signature",
        ),
    ),
    Topic(
        (
            "The %(product)s keeps showing an error",
            "I can't log in, it says my account is locked",
            "The technician never came",
            "HELP it's leaking again!!",
        ),
        (
            "Hi %(name)s, how is the %(product)s working for you? Rate us: https://survey.example.com/%(code)s",
            "Hi %(name)s, your technician arrives %(day)s around %(time)s",
            "Invoice %(order)s for %(amount)s is due %(day)s. Pay at https://pay.example.com/%(order)s",
        ),
        (
            "I tried that already",
            "It works now, thank you! 🎉",
            "Same problem",
            "How do I reset it?",
            "Paid, please confirm",
        ),
        (
            "Could you turn it off, wait 30 seconds and turn it on again?",
            "I've unlocked your account, please try once more",
            "A technician can be there %(day)s at %(time)s",
            "Payment of %(amount)s received, thank you!",
        ),
    ),
)

PRODUCTS: Lines = (
    "standing desk",
    "solar kit",
    "espresso machine",
    "winter tires",
    "blue sofa",
    "heat pump",
    "e-bike",
    "membership",
    "garage door",
    "air purifier",
    "family plan",
    "smart lock",
)
DAYS: Lines = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "tomorrow", "next week")
TIMES: Lines = ("9am", "9:30", "10:15", "11am", "noon", "1:30", "2pm", "3:15", "4pm", "5:30pm")
TOWNS: Lines = ("Denver", "Austin", "Brooklyn", "Oakland", "Chicago", "Boise", "Atlanta", "Miami")
EMOJI: Lines = (" 😊", " 🙏", " 👍", " 😂", " ❤️", " 🎉", " 👀", " ☀️")
GROUP_NAMES: Lines = (
    "%s closing team",
    "%s family",
    "Project %s",
    "%s move-in",
    "%s wedding",
    "Team %s",
    "%s pickup",
)


def words(rng: Random, *, name: str, agent: str) -> dict[str, str]:
    """The names, days, amounts and codes that one conversation keeps to."""
    bits = rng.getrandbits(40)
    return {
        "name": name,
        "agent": agent,
        "product": PRODUCTS[bits % 12],
        "day": DAYS[(bits >> 4) % 8],
        "time": TIMES[(bits >> 7) % 10],
        "city": TOWNS[(bits >> 11) % 8],
        "amount": f"${20 + (bits >> 14) % 3000:,}",
        "order": f"A{10_000 + (bits >> 20) % 90_000}",
        "code": f"{bits & 0xFFFFFF:06x}",
    }


def text(rng: Random, topic: Topic, *, ours: bool, opening: bool, service: str, filling: dict[str, str]) -> str:
    """One message of a conversation."""
    if opening:
        lines = topic.we_open if ours else topic.they_open
    elif rng.random() < 0.45:
        lines = topic.we_say if ours else topic.they_say
    else:
        lines = WE_CHAT if ours else THEY_CHAT
    chosen = lines[int(rng.random() * len(lines))]
    if "%" in chosen:
        chosen %= filling
        if ours and service == "SMS" and "https://" in chosen and rng.random() < 0.5:
            # Linq's "SMS Best Practices" warns of just this: carriers flag link shorteners.
            chosen = chosen[: chosen.index("https://")] + f"https://bit.ly/example-{filling['code']}"
    if rng.random() < (0.04 if service == "SMS" else 0.12):
        chosen += EMOJI[int(rng.random() * len(EMOJI))]
    return chosen
