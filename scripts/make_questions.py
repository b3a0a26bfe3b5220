#!/usr/bin/env python3
"""Makes the bundled question-answer data set, data/questions/{train,validation}.jsonl, from tables of facts.

    python3 scripts/make_questions.py [--seed 1] [--per-category 1000] [--output data/questions]

Deterministic: equal arguments give equal bytes with every Python 3.9 or later. Question forms are shared between the four
categories ("How many", "Which", "Why"; one question in six in lower case without a question mark, as people type into a
search box), so that no single word gives a question's category away.
"""
import argparse
import json
import pathlib
import random

from question_everyday import FEELINGS, HAPPENS, PLACES, USES, WHY
from question_tables import ANIMALS, BOOKS, COUNTRIES, COUNTS, DISCOVERIES, ELEMENTS, MOUNTAINS, PAINTINGS, PLANET_NOTES, PLANETS, SHARED_NAMES_OF_YOUNG

ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"]
NAMES = ["Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Hugo", "Ida", "Jack", "Kim", "Leo", "Mia", "Noah", "Olga", "Paul"]
THINGS = ["apples", "books", "coins", "marbles", "pencils", "stamps", "cookies", "oranges", "shells", "cards", "eggs", "flowers"]
HELD_OUT_SHARE = 0.1
SEARCH_STYLE_SHARE = 1 / 6


class Chooser:
    """Random choices from random.random() alone, whose sequence Python guarantees never to change."""

    def __init__(self, seed):
        self._random = random.Random(seed)

    def below(self, limit):
        return int(self._random.random() * limit)

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def pick(self, items):
        return items[self.below(len(items))]

    def two(self, items):
        first = self.below(len(items))
        second = self.below(len(items) - 1)
        return items[first], items[second + (second >= first)]

    def share(self, share):
        return self._random.random() < share

    def shuffle(self, items):
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]


def with_article(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def capitalized(text):
    return text[0].upper() + text[1:]


def named_young():
    """The animals whose young have a name that belongs to no other animal: those that can be asked for backwards."""
    names = [young for _, young, _, _ in ANIMALS]
    return [row for row in ANIMALS if row[1] and row[1] not in SHARED_NAMES_OF_YOUNG and names.count(row[1]) == 1]


def factual(_):
    for country, capital, continent, _, currency in COUNTRIES:
        for form in ("What is the capital of {}?", "Which city is the capital of {}?", "Name the capital city of {}.",
                     "What city do people in {} call their capital?", "{}'s capital is which city?"):
            yield form.format(country), capital
        for form in ("Which country has {} as its capital?", "{} is the capital of which country?"):
            yield form.format(capital), country
        for form in ("On which continent is {}?", "Which continent does {} belong to?", "What continent is {} in?"):
            yield form.format(country), continent
        for form in ("What money is used in {}?", "Which currency do people pay with in {}?"):
            yield form.format(country), currency
    for element, symbol, number in ELEMENTS:
        for form in ("What is the chemical symbol for {}?", "Which symbol does {} have in the periodic table?", "How is {} written as a chemical symbol?"):
            yield form.format(element), symbol
        for form in ("Which element has the symbol {}?", "What element does {} stand for?"):
            yield form.format(symbol), element
        yield f"What is the atomic number of {element}?", str(number)
        yield f"How many protons does an atom of {element} have?", str(number)
    for work, author, _ in BOOKS:
        for form in ("Who wrote {}?", "Who is the author of {}?", "{} was written by whom?", "Which writer gave us {}?"):
            yield form.format(work), author
    for work, painter, _ in PAINTINGS:
        for form in ("Who painted {}?", "Which artist made the painting {}?", "{} is a painting by whom?"):
            yield form.format(work), painter
    for what, who in DISCOVERIES:
        for form in ("Who is credited with {}?", "Which person is famous for {}?", "Whose name goes with {}?"):
            yield form.format(what), who
    for animal, young, kind, legs in ANIMALS:
        if young:
            for form in ("What is the young of {} called?", "What do you call the baby of {}?"):
                yield form.format(with_article(animal)), young
        yield f"What kind of animal is {with_article(animal)}?", kind
        yield f"How many legs does {with_article(animal)} have?", str(legs)
    for animal, young, _, _ in named_young():
        yield f"Which animal has a baby called {with_article(young)}?", animal
    for ordinal, planet in zip(ORDINALS, PLANETS):
        yield f"What is the {ordinal} planet from the Sun?", planet
        yield f"Which planet is number {ORDINALS.index(ordinal) + 1} counted from the Sun?", planet
    for note, planet in PLANET_NOTES:
        yield f"Which planet {note}?", planet
        yield f"Name the planet that {note}.", planet
    for country, mountain, _ in MOUNTAINS:
        yield f"What is the highest mountain in {country}?", mountain
        yield f"Which peak is the tallest in {country}?", mountain
    for what, number in COUNTS:
        yield f"How many {what}?", str(number)


def numerical(choose):
    while True:
        who, other = choose.two(NAMES)
        thing, more = choose.two(THINGS)
        a, b, c = choose.between(2, 20), choose.between(2, 12), choose.between(2, 9)
        big, small = a + b, min(a, b)
        yield from choose.pick([
            [(f"What is {a} plus {b}?", a + b)], [(f"What is {big} minus {b}?", a)], [(f"What is {b} times {c}?", b * c)],
            [(f"What do you get when {b * c} is divided by {c}?", b)], [(f"Add {a}, {b} and {c}.", a + b + c)],
            [(f"Which number is {b} more than {a}?", a + b)], [(f"How much is {big} take away {a}?", b)],
            [(f"{who} has {a} {thing} and gets {b} more. How many {thing} does {who} have now?", a + b)],
            [(f"{who} had {big} {thing} and gave {b} to {other}. How many are left?", a)],
            [(f"{who} buys {b} boxes with {c} {thing} in each. How many {thing} is that?", b * c)],
            [(f"{b * c} {thing} are shared equally by {c} children. How many does each child get?", b)],
            [(f"{who} has {big} {thing}, {other} has {a}. How many more does {who} have?", b)],
            [(f"If one ticket costs {b} dollars, what do {c} tickets cost?", f"{b * c} dollars")],
            [(f"{who} pays for a {b} dollar book with {big} dollars. How much change comes back?", f"{a} dollars")],
            [(f"A train goes {10 * b} miles in one hour. How far does it go in {c} hours?", f"{10 * b * c} miles")],
            [(f"{who} reads {c} pages a day. After how many days are {b * c} pages read?", f"{b} days")],
            [(f"{who} is {a} years old. How old will {who} be in {b} years?", a + b)],
            [(f"{who} is {big} years old and {other} is {b} years younger. What is the age of {other}?", a)],
            [(f"A basket holds {a} {thing} and {b} {more}. What is the total?", a + b)],
            [(f"There are {big} birds on a tree and {small} fly away. How many stay?", big - small)],
            [(f"{who} runs {b} miles every day for {c} days. Find the total distance.", f"{b * c} miles")],
            [(f"What is half of {2 * a}?", a)], [(f"What is twice {a}?", 2 * a)],
            [(f"A shop sold {a} {thing} on Monday, {b} on Tuesday and {c} on Friday. How many were sold in all?", a + b + c)],
            [(f"{who} picks {a} {thing}, eats {small} and then picks {c} more. What number of {thing} is left?", a - small + c)],
            [(f"A movie starts at {c} o'clock and lasts 2 hours. When does it end?", f"{c + 2} o'clock")],
            [(f"A room is {b} meters long and {c} meters wide. What is its area in square meters?", b * c)],
            [(f"{who} needs {b} more {thing} to have {big}. How many are there already?", a)],
            [(f"Which is the larger sum, {a} plus {b} or {a} plus {c + 10}?", f"{a} plus {max(b, c + 10)}")] if b != c + 10 else [],
        ])


def multi_hop(choose):
    areas = [row for row in COUNTRIES if row[3]]
    capital_of = {row[0]: row[1] for row in COUNTRIES}
    capital_mountains = [row for row in MOUNTAINS if row[0] in capital_of]
    while True:
        kind = choose.below(12)
        if kind <= 1:  # two capitals -> two countries -> the larger, or the smaller
            one, two = choose.two(areas)
            if max(one[3], two[3]) < 1.3 * min(one[3], two[3]):
                continue
            large, small = (one, two) if one[3] > two[3] else (two, one)
            if choose.share(0.7):
                form = choose.pick(["Which country is larger, the one with the capital {} or the one with the capital {}?",
                                    "{} and {} are capitals. Which of their two countries covers more land?",
                                    "Of the countries that have {} and {} as capitals, which has the greater area?"])
                yield form.format(one[1], two[1]), large[0]
            else:
                yield f"Which country is smaller, the one with the capital {one[1]} or the one with the capital {two[1]}?", small[0]
        elif kind == 2:  # country -> capital, and its continent
            one, two = choose.two(COUNTRIES)
            form = choose.pick(["Are {} and {} capitals on the same continent?", "Do the countries with the capitals {} and {} share a continent?"])
            yield form.format(one[1], two[1]), "yes" if one[2] == two[2] else "no"
        elif kind == 3:  # capital -> country -> currency or continent
            country = choose.pick(COUNTRIES)
            yield choose.pick([(f"What currency is used in the country whose capital is {country[1]}?", country[4]),
                               (f"{country[1]} is the capital of a country. Which money do you need there?", country[4]),
                               (f"On which continent is the country that has {country[1]} as its capital?", country[2])])
        elif kind == 4:  # two symbols -> two elements -> the heavier
            one, two = choose.two(ELEMENTS)
            form = choose.pick(["Which has more protons, the element with the symbol {} or the one with the symbol {}?",
                                "Of the elements written {} and {}, which has the higher atomic number?"])
            yield form.format(one[1], two[1]), (one if one[2] > two[2] else two)[0]
        elif kind in (5, 6):  # two works -> two people -> who was born first
            works, verb = choose.pick([(BOOKS, "wrote"), (BOOKS, "wrote"), (PAINTINGS, "painted")])
            one, two = choose.two(works)
            if one[2] == two[2]:
                continue
            form = choose.pick(["Who was born earlier, the person who {2} {0} or the person who {2} {1}?",
                                "One person {2} {0}, another {2} {1}. Which of the two was born first?"])
            yield form.format(one[0], two[0], verb), (one if one[2] < two[2] else two)[1]
        elif kind == 7:  # two countries -> two mountains -> the taller
            one, two = choose.two(MOUNTAINS)
            form = choose.pick(["Which is taller, the highest mountain in {} or the highest mountain in {}?",
                                "Compare the highest peaks of {} and {}. What is the name of the taller one?"])
            yield form.format(one[0], two[0]), (one if one[2] > two[2] else two)[1]
        elif kind == 8:  # capital -> country -> mountain
            country, mountain, _ = choose.pick(capital_mountains)
            yield f"What is the highest mountain in the country whose capital is {capital_of[country]}?", mountain
        elif kind == 9:  # two animals -> two numbers of legs -> their sum or comparison
            one, two = choose.two(ANIMALS)
            names = with_article(one[0]), with_article(two[0])
            if one[3] == two[3] or choose.share(0.5):
                yield f"How many legs do {names[0]} and {names[1]} have together?", str(one[3] + two[3])
            else:
                yield f"Which has more legs, {names[0]} or {names[1]}?", (one if one[3] > two[3] else two)[0]
        elif kind == 10:  # young -> animal -> kind; two animals -> the same kind
            animal, young, group, _ = choose.pick(named_young())
            one, two = choose.two(ANIMALS)
            yield choose.pick([(f"What kind of animal does {with_article(young)} grow up to be, a mammal, a bird or something else?", group),
                               (f"Do {with_article(one[0])} and {with_article(two[0])} belong to the same class of animals?", "yes" if one[2] == two[2] else "no")])
        else:  # two notes -> two planets -> the nearer
            one, two = choose.two(PLANET_NOTES)
            if one[1] == two[1]:
                continue
            near = min(one[1], two[1], key=PLANETS.index)
            yield f"Which is closer to the Sun, the planet that {one[0]} or the planet that {two[0]}?", near


def commonsense(_):
    for situation, effect in HAPPENS:
        for form in ("What happens if {}?", "What happens when {}?", "If {}, what will most likely follow?", "Suppose {}. What comes next?",
                     "{}. What is the result?", "What do you expect to see if {}?"):
            yield capitalized(form.format(situation)), effect
    for question, statement, cause in WHY:
        for form in ("Why {0}?", "What is the reason that {1}?", "How come {1}?", "{1}. Why is that?", "For what reason {0}?"):
            yield capitalized(form.format(question, statement)), cause
    for goal, tool in USES:
        for form in ("What would you use to {}?", "What do people need if they want to {}?", "Which thing helps you {}?", "You want to {}. What do you take?",
                     "What is the best thing to have when you have to {}?", "Name a thing that helps to {}."):
            yield form.format(goal), tool
    for thing, place in PLACES:
        for form in ("Where would you look for {}?", "Where do you usually find {}?", "If you needed to see {}, where would you go?", "Which place is right for {}?"):
            yield form.format(thing), place
    for situation, feeling in FEELINGS:
        for form in ("How does it feel when {}?", "What does a person feel if {}?", "{}. Which feeling is that?", "Which feeling comes when {}?", "Suppose {}. What is the feeling?"):
            yield capitalized(form.format(situation)), feeling


CATEGORIES = {"factual_lookup": factual, "numerical_reasoning": numerical, "multi_hop_reasoning": multi_hop, "commonsense_reasoning": commonsense}


def sameness(question):
    """Two questions with one such key count as the same question."""
    return " ".join("".join(c if c.isalnum() else " " for c in question.lower()).split())


def rows_of(label, choose, count):
    """`count` different rows of one category; an endless source is read until there are enough, a finite one is sampled."""
    answers, rows = {}, []
    source = CATEGORIES[label](choose)
    for question, answer in source:
        key, answer = sameness(question), str(answer)
        if answers.setdefault(key, answer) != answer:
            raise SystemExit(f"two answers to '{question}': '{answer}' and '{answers[key]}'")
        if len(answers) > len(rows):
            rows.append((question, answer))
        if label in ("numerical_reasoning", "multi_hop_reasoning") and len(rows) == count:
            break
    choose.shuffle(rows)
    if len(rows) < count:
        raise SystemExit(f"{label}: the tables give {len(rows)} questions, {count} are asked for")
    return [{"question": question.lower().rstrip("?.") if choose.share(SEARCH_STYLE_SHARE) else question, "answer": answer, "expert_label": label}
            for question, answer in rows[:count]]


def make(seed, per_category):
    """(train rows, validation rows), each in a shuffled order."""
    train, validation = [], []
    held_out = round(per_category * HELD_OUT_SHARE)
    for number, label in enumerate(CATEGORIES):
        rows = rows_of(label, Chooser(1000 * seed + number), per_category)
        validation += rows[:held_out]
        train += rows[held_out:]
    for rows in (train, validation):
        Chooser(1000 * seed + 500).shuffle(rows)
    return train, validation


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--per-category", type=int, default=1000)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent / "data" / "questions")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, rows in zip(("train", "validation"), make(arguments.seed, arguments.per_category)):
        with open(arguments.output / f"{name}.jsonl", "w", encoding="ascii", newline="\n") as out:
            out.writelines(json.dumps(row) + "\n" for row in rows)


if __name__ == "__main__":
    main()
