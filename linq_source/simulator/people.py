"""Made-up people: their names, numbers nobody has (555-01XX where they suffice) and address book entries."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count, product
from random import Random

from .directory import Directory


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_NAMES = _words(
    "Aaliyah Abdul Adriana Ahmed Aiko Alejandro Amara Amelia Amit Ana Andre Anika Antonio Aria Asha Ava "
    "Beatriz Ben Bianca Brandon Camila Carlos Carmen Chen Chloe Chukwu Claire Daniel Darius Deepa Dmitri "
    "Elena Eli Emily Emre Esther Ethan Fatima Felix Fernando Gabriela George Grace Hana Hannah Hassan "
    "Helen Hiro Ibrahim Imani Ines Isaac Isabel Ivan Jada Jamal James Jasmine Javier Jin Joanna Jorge "
    "Joy Juan Julia Kai Karim Kavya Keisha Kenji Kofi Lakshmi Lars Latoya Laura Layla Leah Leon Lina "
    "Linh Lucas Luis Mai Malik Marcus Maria Mateo Maya Mei Miguel Mila Min Mohammed Monique Nadia Naomi "
    "Nia Nikhil Noah Nora Olga Oliver Omar Owen Paolo Patrice Paula Peter Priya Quentin Rachel Rahul "
    "Ravi Rosa Ruth Samira Santiago Sara Sean Simone Sofia Soren Tamika Tariq Theo Thu Tomas Uma "
    "Valeria Victor Wei Willa Xavier Yara Yusuf Zainab Zoe"
)

LAST_NAMES = _words(
    "Abara Adeyemi Ahmadi Alvarez Anderson Baker Banerjee Bello Bennett Brooks Campbell Carter Castillo "
    "Chang Chavez Chowdhury Cohen Cruz Das Davies Delgado Diaz Dubois Edwards Fernandez Fischer Flores "
    "Foster Garcia Goldberg Gomez Gonzalez Green Gupta Haddad Hall Hernandez Hoang Howard Hughes Huang "
    "Ibarra Ito Jackson Johnson Jones Kaplan Kaur Kelly Khan Kim Kowalski Kumar Larsen Lee Lewis Li Lopez "
    "Mahmoud Martinez Mbeki Mehta Mendoza Miller Mitchell Moore Morales Murphy Nakamura Nguyen Novak Ochoa "
    "Okafor Ortiz Osei Park Patel Perez Petrov Phillips Popescu Price Quinn Rahman Ramirez Reyes Rivera "
    "Robinson Romero Rosen Rossi Ruiz Saito Salazar Sanchez Santos Schmidt Sharma Silva Singh Smith Soto "
    "Suzuki Tan Taylor Thompson Torres Tran Turner Vargas Walker Wang Washington White Williams Wilson "
    "Wong Wright Yamamoto Yilmaz Young Zhang"
)

AREA_CODES = _words(
    "201 202 206 212 213 214 215 216 301 303 305 310 312 313 314 315 317 319 323 336 347 385 401 404 407 "
    "408 410 412 415 419 425 432 434 480 503 504 505 509 512 513 515 520 601 602 603 605 608 612 614 615 "
    "617 619 646 650 678 701 702 703 704 706 713 720 724 734 740 757 760 763 770 773 801 802 803 804 808 "
    "813 815 816 817 843 858 860 865 901 904 907 908 913 916 917 919 920 925 936 941 949 951 952 971 978"
)

COMPANIES = (
    "Acorn Dental",
    "Alder & Finch",
    "Bluebird Realty",
    "Brightside Solar",
    "Cedar Lane Homes",
    "Copperline Auto",
    "Driftwood Cafe",
    "Evergreen Lending",
    "Foxglove Fitness",
    "Harbor Insurance",
    "Ironwood Legal",
    "Juniper Salon",
    "Lakeview Property",
    "Maple Street Clinic",
    "Northgate Logistics",
    "Orchard Pediatrics",
    "Pinecrest School",
    "Redwood Roofing",
    "Summit Events",
    "Willow Vet",
)
TITLES = (
    "Office Manager",
    "Owner",
    "Homeowner",
    "Director of Sales",
    "Buyer",
    "Engineer",
    "Teacher",
    "Nurse",
    "Operations Lead",
    "Broker",
    "Student",
    "CEO",
)
CITIES = (
    "Denver, CO",
    "Austin, TX",
    "Brooklyn, NY",
    "Oakland, CA",
    "Chicago, IL",
    "Boise, ID",
    "Atlanta, GA",
    "Miami, FL",
    "Portland, OR",
    "Santa Fe, NM",
    "Columbus, OH",
    "Salt Lake City, UT",
)


@dataclass(slots=True)
class Person:
    """Somebody who writes; `identifier` is what their chats know them by: a number or an e-mail address."""

    first_name: str
    last_name: str
    phone_number: str
    email: str
    identifier: str


def fictional_numbers(rng: Random) -> Iterator[str]:
    """Distinct US numbers: 555-01XX of every area code first, since those belong to nobody."""
    areas = list(AREA_CODES)
    rng.shuffle(areas)
    reserved = list(range(100, 200))
    rng.shuffle(reserved)
    for turn, (index, area) in product(range(100), enumerate(areas)):
        yield f"+1{area}555{reserved[(index + turn) % 100]:04}"
    for line, area in product(range(200, 10_000), areas):
        yield f"+1{area}555{line:04}"
    for exchange in count(556):
        for line, area in product(range(10_000), areas):
            yield f"+1{area}{exchange}{line:04}"


def person(rng: Random, numbers: Iterator[str]) -> Person:
    """Somebody new; about one in sixteen writes from an e-mail address."""
    first_name, last_name = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
    phone_number = next(numbers)
    # The digits keep two people of one name apart.
    email = f"{first_name}.{last_name}{phone_number[2:5]}{phone_number[-4:]}@example.com".lower()
    identifier = email if rng.random() < 0.06 else phone_number
    return Person(first_name, last_name, phone_number, email, identifier)


def staff(directory: Directory, rng: Random, size: int, numbers: Iterator[str]) -> None:
    """`size` numbers and the people who own them; in larger organisations some own two."""
    users = [
        directory.add_user(rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES))
        for _ in range(size if size <= 3 else round(size * 0.75))
    ]
    for index in range(size):
        forwarding = next(numbers) if rng.random() < 0.4 else None
        owner = users[index % len(users)]
        number = directory.add_number(next(numbers), user=owner, forwarding_number=forwarding)
        number.response_rate = rng.choice((60, 75, 80, 90, 95))


def address_book(directory: Directory, rng: Random, known: list[Person], size: int, end: datetime, days: int) -> None:
    """Contacts of the first `size` known people, created in the period or up to a year before it."""
    users = list(directory.users.values())
    created = sorted(end - timedelta(seconds=int(rng.random() * (days + 365) * 86_400)) for _ in range(size))
    for somebody, created_at in zip(known, created, strict=True):
        has_phone = rng.random() < 0.9
        business = rng.random() < 0.45
        changed = timedelta(seconds=int(rng.random() ** 3 * (end - created_at).total_seconds()))
        directory.add_contact(
            contact_id=directory.new_id("contact", rng.randint(1, 9)),
            created_at=created_at,
            updated_at=created_at + changed,
            first_name=somebody.first_name,
            last_name=somebody.last_name if rng.random() < 0.95 else "",
            email=somebody.email if not has_phone or rng.random() < 0.7 else "",
            phone_number=somebody.phone_number if has_phone else "",
            company=rng.choice(COMPANIES) if business else "",
            title=rng.choice(TITLES) if business else "",
            location=rng.choice(CITIES) if rng.random() < 0.5 else "",
            image_url=f"https://files.example.com/avatars/{rng.getrandbits(32):08x}.jpg"
            if rng.random() < 0.2
            else None,
            contact_owner=rng.choice(users) if rng.random() < 0.8 else None,
        )
