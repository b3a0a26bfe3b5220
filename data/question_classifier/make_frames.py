#!/usr/bin/env python3
"""Writes our own made-up questions, a supplement to the classifier's training set, as JSONL to standard output.

The training set's labels come from eight data sets, so whole manners of asking are missing from it: exam and how-to questions about
everyday things, chains of relations, short look-ups with a name. The frames below are ours and carry our idea of the four categories;
their names are invented, since only that a word is a name matters to the classifier.

    python3 make_frames.py --seed 42 > frames.jsonl
"""
import argparse
import json
import random

THINGS = """rock|magnet|battery|candle|mirror|rope|ladder|blanket|umbrella|bicycle|bottle|bucket|hammer|thermometer|telescope|lamp|pot|kettle|
    towel|wheel|sponge|knife|broom|shovel|fan|balloon|ball|coin|needle|glove|boat|engine|wire|stove|fence|brush|pillow|window|metal spoon|
    wooden board|ice cube|glass of water|paper bag|plastic cup|solar panel|light bulb|garden hose|pair of shoes|old shirt|cardboard box"""
LIVING = """plant|tree|flower|seed|bird|fish|frog|rabbit|bear|bee|butterfly|snake|deer|mouse|dog|cat|horse|turtle|fox|insect|mushroom|grass|
    cactus|owl|whale|lizard|squirrel|worm|wolf|young animal|desert animal|green plant|predator|bacterium"""
MASS = """water|soil|sunlight|air|heat|oxygen|sand|salt|sugar|oil|ice|rain|wind|light|energy|food|carbon dioxide|electricity|sound|iron|
    wood|glass|steam|gravity|friction|pressure|mud|snow|vinegar|flour"""
PLACES = """kitchen|forest|desert|ocean|river|garden|school|hospital|library|garage|bedroom|office|market|pond|mountain|farm|beach|cave|park|
    classroom|bathroom|basement|street|restaurant|field"""
AGENTS = """student|scientist|farmer|teacher|child|driver|doctor|gardener|person|cook|runner|hiker|painter|nurse|worker|swimmer|family|
    neighbor|engineer|baby|group of students|police officer|shopper"""
ACTIONS = """keep food cold|measure the temperature of a liquid|grow faster|stay warm in winter|clean a dirty window|save money|
    remove a stain|make the soup thicker|find shelter|escape from danger|store energy|separate salt from water|reduce pollution|
    protect the skin|carry heavy boxes|dry wet clothes|open a tight jar|fall asleep quickly|learn a new language|fix a flat tire|
    cut the paper in a straight line|peel an orange|stop the noise|boil the eggs|paint the wall|hang a picture|catch a fish|
    get rid of ants|keep the door open|water the plants|lose weight|cook the rice|sharpen a pencil|tie the shoes|hide from predators|
    attract insects|conserve water|bake bread without an oven|observe the stars|test whether the soil is wet|wrap a gift|fold a shirt"""
EVENTS = """the ice melts|the water is heated|the sun goes down|it rains for many days|the plant gets no light|the battery runs out|
    two objects rub together|the metal is left outside in the rain|the temperature drops below freezing|the lights are turned off|
    someone forgets to eat breakfast|the driver falls asleep|a person runs very fast|the food is left on the table for days|
    the river dries up|all the trees in a forest are cut down|the number of predators increases|a ball is thrown into the air|
    someone tells a lie|the baby begins to cry|a student studies every night|you leave the door open in winter|the soil is washed away|
    the wind blows hard|you drop a glass|a spoon is put into hot tea|the earth turns"""
RESULTS = """get wet|become tired|break|slow down|freeze|rust|evaporate|feel happy|get lost|grow|float|sink|burn|get sick|become hungry|
    conduct electricity|change color|make noise|lose energy|expand|move faster|fall over|decay"""
QUALITIES = "heavy|cold|wet|fast|soft|bright|loud|dry|warm|strong|smooth|dark|clean|sharp|hungry|angry|careful|sad|proud|nervous|tired|sleepy"
ADVERBS = "quickly|slowly|in winter|at night|in the morning|during a storm|after school|in a small space|without help|outdoors|in the dark"
KINDS = """type of rock|property|tool|organ|resource|season|process|material|sense|change|organism|form of energy|step|object|gas|behavior|
    simple machine|source of heat|body part|unit|kind of weather|surface|state of matter"""
CONCEPTS = """camouflage|erosion|friction|a physical change|a chemical change|an inherited trait|a learned behavior|recycling|migration|
    condensation|a renewable resource|adaptation|a healthy habit|good manners|being polite|conduction|a balanced diet|pollution"""
SCIENCE = """photosynthesis|respiration|the water cycle|a food web|a food chain|digestion|cell division|the nucleus of a cell|an atom|a molecule|
    the life cycle of an insect|the rock cycle|the solar system|a chemical reaction|an electric circuit|the circulatory system|the nervous system|
    a volcano|an earthquake|the phases of the moon|the seasons|day and night|the tides|weathering|evaporation|an ecosystem|a mineral|a fossil|
    reproduction|the roots of a plant|the layers of the earth|the atmosphere|a star|the climate|a force|heat transfer|the blood|the lungs"""
FEATURES = "thick fur|long roots|sharp teeth|green leaves|bright colors|strong wings|large eyes|a hard shell|webbed feet|a long neck|hollow bones"
FEELINGS = "feel afterwards|feel about this|describe this person|react|want to do next|need to do before this"
DEEDS = """helped a friend move into a new house|lost the keys again|worked all night on the report|told everyone the secret|
    forgot to call mother|gave the last piece of cake away|broke the neighbor's window|passed the exam|ran away from the dog|
    bought flowers for the party|shared lunch with a classmate|finally got the job|yelled at the waiter|cleaned the whole house"""

RELATIONS = """mother|father|spouse|director|founder|author|composer|performer|producer|president|capital|creator|mayor|owner|inventor|
    captain|son|daughter|brother|editor|architect|record label|head coach|screenwriter|employer|publisher"""
HOLDERS = "film|song|album|company|novel|band|team|university|city|country|magazine|opera|river|book|television series|airline|newspaper"
CREATIONS = "film|song|album|novel|book|opera|television series|play"
ATTRIBUTES = """place of birth|date of death|nationality|cause of death|alma mater|birthplace|capital|population|official language|currency|
    burial place|religion|award|county|highest point"""
VERBS_WHO = "wrote|directed|founded|composed|sang|discovered|invented|painted|won|designed|produced|plays|owns|killed|married|voiced|coached"
ROLES = """actor|singer|writer|scientist|politician|general|king|painter|footballer|composer|president|philosopher|director|architect|
    prime minister|quarterback|physicist|novelist"""
FACT_NOUNS = """capital|currency|population|national anthem|president|language|flag|time zone|religion|government|airport|county|state|
    highest mountain|zip code|largest city|birthplace|real name|first album|nickname|net worth|sport|wife|mascot|height|party"""
ITEMS = "apples|books|pencils|marbles|stickers|cookies|tickets|shirts|eggs|boxes|flowers|cards|pages|toys|chairs|miles|dollars|liters|bags"

COMMONSENSE = """Which of the following is most likely to {result}?|Which of these would best help a {agent} {action}?
What is the most likely result when {event}?|What will most likely happen if {event}?|Which {kind} is needed to {action}?
Which {kind} causes the {thing} to {result}?|A {agent} wants to {action}. What should the {agent} do first?
Which statement best describes how a {living} uses {mass}?|How does a {living} get {mass} from {mass2}?
How do {feature} help a {living} survive in the {place}?|What is the main purpose of a {thing}?
Which tool should a {agent} use to {action}?|What would a {agent} use to {action}?|A {thing} is most likely found in the
When a {thing} is {quality} it will|If {event} then a {living} may|An example of {concept} is|Which is an example of {concept}?
Which of the following is the best example of {concept}?|Which {kind} is most responsible for {concept}?
A {living} needs {mass} in order to|Having {feature} allows a {living} to|Why does the {thing} {result} when {event}?
Why do {feature} make a {living} hard to see?|How do I {action}?|How can I {action} without a {thing}?|How can you {action} at home?
To {action}, you can|What is the best way to {action}?|How to {action} with a {thing}?|What's a good way to {action}?
What can be used to {action} in the {place}?|Where would you put a {quality} {thing} in the {place}?
Where is a {living} likely to look for {mass}?|What does a {agent} do when {event}?|What might a {agent} feel after {event}?
What do people need before they {action}?|Why would a {agent} be {quality}?|{name} {deed}. How would {name} {feel}?
{name} {deed}. What will {name} {feel}?|{name} {deed}. Why did {name} do this?|{name} {deed} because {name2} was {quality}. What does {name} {feel}?
What happens to a {living} when {event}?|Which two things does a {living} need to live?|Which change happens when {event}?
A {agent} puts a {thing} into {mass}. Which of these will happen next?|During which {kind} does {mass} {result}?
In which {kind} would a {living} grow best?|A {agent} notices that {event}. What is the most likely explanation?
A {agent} observed a {living} near the {place}. Which conclusion is best supported?|What makes {mass} {result}?
What part of a {living} takes in {mass}?|Which part of a {living} has {feature}?|The {thing} in the {place} was {quality}, so what did the {agent} do?
What could a {agent} do with a {thing} if {event}?|Would a {living} {result} if {event}?|Could a {living} {result} in a {place}?
Can a {thing} {result} {adverb}?|Is it safe to {action} {adverb}?|Would a {agent} need a {thing} to {action}?
Would it be hard to {action} with a {thing}?|Do most {agent}s want to {action}?|A {living} that lives in a {place} has {feature} so that it can
What kind of {thing} is {quality} and made of {mass}?|Which of these is not a {kind}?|{event_cap}. Which of these is the best reason?
The best place to find a {living} is the|A {quality} {thing} can be made from|In the {place} a {living} will eat
{science_cap} is necessary for which {kind}?|Which is a function of {science}?|Which {kind} is part of {science}?
Which of the following describes {science}?|Which sequence shows {science}?|What is the role of {mass} in {science}?
During {science}, {mass} is changed into what?|Scientists study {science}. Which of the following best supports their theory?
Which characteristic do a {living} and a {living2} share?|Which is the best evidence for {concept}?|How does {concept} affect {science}?
A {agent} did an experiment to find out how {mass} affects a {living}. Which variable should be kept the same?
A {agent} heats {mass} in a {thing} until it begins to {result}. What happens to the particles?
A {thing} was moved from the {place} to the {place2}. Which {kind} of the {thing} changed?|{living}s use {mass} to carry out the process of
A {living} shares its {place} with a {living2}. This is an example of|Which human {kind} is responsible for {science}?
{action_cap}.|{action_cap} {adverb}.|How to {action}.|To {action} {adverb}, use a|make a {thing} from {mass}|{action} with {mass}
Who would want to {action}?|How do {agent}s {action}?|What should you avoid if you want to {action}?|Which {kind} can be seen {adverb}?
What is the difference between a {thing} and a {thing2}?|What is {mass} used for?|Where do {living}s live?|What do {living}s eat?
Which {kind} do {living}s depend on for {mass}?|How is {mass} different from {mass2}?|What is one benefit of {concept}?"""

MULTI_HOP = """Who is the {relation} of the {relation2} of {name}?|What is the {attribute} of the {relation} of {name}?
What is the {attribute} of the {relation} of the {holder} {name}?|Where was the {relation} of {name} born?
When did the {relation} of {name} die?|When was the {relation} of the {holder} {name} born?|Who founded the {holder} where {name} studied?
What is the {attribute} of the {holder} where {name} was born?|Who is the {relation} of the {holder} that {verb} {name}?
In what year was the {relation} of the {holder} that includes {name} founded?|Who was the {relation} of the country where {name} is located?
What {holder} did the {relation} of {name} attend?|Which {creation} came out first, {name} or {name2}?
Who was born earlier, {name} or {name2}?|Were {name} and {name2} both {role}s?|Are {name} and {name2} from the same country?
Did the {relation} of {name} outlive the {relation2} of {name2}?|Which {holder} has more members, {name} or {name2}?
Who was the {relation} of {name} in the year that {name2} was founded?|Who was president in the year that {name} was born?
What was the first {creation} of the {role} who {verb} {name}?|What is the capital of the country that won the cup in {year}?
How old was the {relation} of {name} when {name2} was released?|How many people live in the {holder} where {name} died?
How long had {name} been open when the {relation} of {name2} was born?|The {relation} of {name} was born in which city?
{name} is a {role} who starred in a {creation} directed by whom?|The {role} who {verb} {name} was a member of which {holder}?
What county contains the city where the {relation} of {name} lived?|Which country is the {role} of {name} and {name2} from?
When did the {holder} that published {name} close?|Who is the {relation} of the {role} that {verb} {name}?
What language is spoken in the country where {name} is the {relation}?|Was {name} alive when {name2} was founded?
Did {name} and {name2} ever meet?|Could {name} have seen {name2}?|Did {name} live at the same time as {name2}?
Would {name} have been able to vote for {name2}?|Is {name} closer to {name2} than to {name3}?|Has the {relation} of {name} been to {name2}?
In what city was the {role} who invented the {thing} born?|What is the hometown of the {role} who {verb} the {thing}?
Who was the first {role} to win the award named after {name}?|When was the {role} who led {name} in {year} born?
What is the birth name of the {relation} of the {role} who {verb} {name}?|What year did the {holder} that {name} moved to in {year} begin?
Which {role} born in {year} {verb} {name} and {name2}?|What {holder} is named after the {relation} of {name}?"""

FACTUAL = """who {verb} {name}|who is the {fact} of {name}|what is the {fact} of {name}|when was {name} born|where is {name} from
what {fact} does {name} have|what is {name} known for|what did {name} do|what does {name} mean|where did {name} go to school
who was {name} married to|what country is {name} in|which {holder} did {name} play for|when did {name} come out
how old is {name}|how tall is {name}|what kind of {fact} does {name} have|where do they speak {name}|what are the {fact}s of {name}
who plays {name} in {name2}|what movies did {name} star in|what did {name} die of|who did {name} play for in {year}
what time zone is {name} in|what type of music does {name} play|what states does the {name} river run through|what happened to {name}
what {holder} did {name} work for|where is the {name} located|what was {name} famous for|what team does {name} play for
Which {role} {verb} {name} in {year}?|In which country is {name}?|What is the name of the {role} in {name}?|{name} is the capital of where?
Who was the {role} of {name} in {year}?|Which {creation} by {name} was released in {year}?|In which {year} {creation} did {name} appear?
What was the nickname of {role} {name}?|{name} was the first {role} to do what?|Who succeeded {name} as {role}?
By what name is {name} better known?|Which {role} was known as "{name}"?|What {fact} is found on the flag of {name}?
what are {living}s called in {name}|is {name} still alive|what is the {fact} for {name}|when does {name} start in {year}
what's the {fact} of {name} called|what character did {name} play in {name2}|where to fly into for {name}|what language do people in {name} speak
what currency should i take to {name}|what year did {name} win the cup|what inspired {name} to become a {role}|who are {name}'s parents
what {fact} did {name} belong to|what are some things {name} is known for|what does {name} do for a living|where does {name} live now"""

NUMERICAL = """{name} has {n} {items} and buys {n2} more. How many {items} does {name} have now?
If {n} {items} cost {n2} dollars, what is the cost of {n3} {items}?|What is {n} percent of {n2}?|What is the sum of {n} and {n2}?
A {agent} walks {n} miles in {n2} hours. What is the average speed?|Solve for x if {n} x plus {n2} equals {n3}.
The ratio of {items} to {items2} is {n} to {n2}. If there are {n3} {items}, how many {items2} are there?
A number is multiplied by {n} and then {n2} is added to get {n3}. What is the number?|How much is {n} times {n2} minus {n3}?
{n} {agent}s share {n2} {items} equally. How many does each get?|What is the area of a rectangle with sides {n} and {n2}?
In how many ways can {n} {items} be arranged in {n2} rows?|The price rises from {n} to {n2} dollars. By what percentage did it rise?
What is the remainder when {n} is divided by {n2}?|A train travels {n} km in {n2} hours. How far does it go in {n3} hours?
How many more {items} than {items2} are there if there are {n} {items} and {n2} {items2}?|Find the average of {n}, {n2} and {n3}.
A tank is filled by one pipe in {n} hours and by another in {n2} hours. How long do both take together?
How many {items} fit into {n} boxes if each box holds {n2}?|{name} had {n} {items} and gave some to {name2}. Now {name} has {n2}. How many were given away?
what is the profit if {items} bought at {n} dollars are sold at {n2} dollars|if x is {n} and y is {n2}, what is x plus y
a man is {n} years old and his son is {n2}. in how many years will he be twice as old|how many seconds are in {n} hours"""


def slots(text):
    return [word.strip() for word in text.replace("\n", " ").split("|")]


SLOTS = {
    "thing": slots(THINGS), "living": slots(LIVING), "mass": slots(MASS), "place": slots(PLACES), "agent": slots(AGENTS),
    "action": [" ".join(a.split()) for a in slots(ACTIONS)], "event": [" ".join(e.split()) for e in slots(EVENTS)],
    "result": slots(RESULTS), "quality": slots(QUALITIES), "adverb": slots(ADVERBS), "kind": slots(KINDS), "concept": slots(CONCEPTS),
    "science": [" ".join(s.split()) for s in slots(SCIENCE)],
    "feature": slots(FEATURES), "feel": slots(FEELINGS), "deed": [" ".join(d.split()) for d in slots(DEEDS)],
    "relation": slots(RELATIONS), "holder": slots(HOLDERS), "creation": slots(CREATIONS), "attribute": slots(ATTRIBUTES),
    "verb": slots(VERBS_WHO), "role": slots(ROLES), "fact": slots(FACT_NOUNS), "items": slots(ITEMS),
}
SYLLABLES = "ba bel cor dan del dor el fen gar hal ing jo kar lan lor mar mel nor ol pen ral ros san tor ul van ver win yor zan".split()


def name(rng):
    word = lambda: "".join(rng.sample(SYLLABLES, rng.choice([2, 2, 3]))).capitalize()
    return " ".join(word() for _ in range(rng.choice([1, 2, 2, 3])))


class Fill(dict):
    """One question's slots: `thing` and `thing2` differ, and a slot named twice has one value."""

    def __init__(self, rng):
        super().__init__()
        self.rng = rng

    def __missing__(self, key):
        base = key.rstrip("0123456789")
        if base == "name":
            value = name(self.rng)
        elif base == "n":
            value = str(self.rng.choice([self.rng.randint(2, 20), self.rng.randint(2, 500)]))
        elif base == "year":
            value = str(self.rng.randint(1850, 2020))
        elif base.endswith("_cap"):
            value = self.rng.choice(SLOTS[base.removesuffix("_cap")]).capitalize()
        else:
            value = self.rng.choice([v for v in SLOTS[base] if v not in self.values()])
        self[key] = value
        return value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--per-frame", type=int, default=12, help="questions made from each frame")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    frames = {"commonsense_reasoning": COMMONSENSE, "multi_hop_reasoning": MULTI_HOP, "factual_lookup": FACTUAL, "numerical_reasoning": NUMERICAL}
    rows = []
    for label, text in frames.items():
        for frame in text.replace("\n", "|").split("|"):
            for _ in range(arguments.per_frame):
                rows.append({"question": frame.format_map(Fill(rng)), "expert_label": label, "origin": "frames", "weight": 2})
    rng.shuffle(rows)
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
