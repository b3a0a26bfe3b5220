"""Tables of everyday causes, uses, places and feelings for make_questions.py, written by hand from general knowledge."""

# A situation and what follows.
HAPPENS = [
    ("you leave milk in the sun", "it turns sour"), ("you drop a glass on a stone floor", "it breaks"), ("you put ice in hot tea", "the ice melts"),
    ("you forget to water a plant", "it dries out"), ("you leave bread out for weeks", "it grows mold"), ("you touch a hot stove", "you get burned"),
    ("you stay in the sun too long", "you get sunburned"), ("you put water in the freezer", "it turns to ice"), ("you boil water for a long time", "it becomes steam"),
    ("you leave a bicycle out in the rain", "it rusts"), ("you blow too much air into a balloon", "it pops"), ("you go out in the rain without an umbrella", "you get wet"),
    ("you skip breakfast", "you get hungry"), ("you run a long race", "you get tired"), ("you eat far too much candy", "your stomach hurts"),
    ("you leave the lights of a car on overnight", "the battery dies"), ("you stir sugar into warm water", "it dissolves"), ("you drop a stone into a pond", "it sinks"),
    ("you step on a banana peel", "you slip"), ("you forget to set an alarm", "you oversleep"), ("you leave chocolate in a hot car", "it melts"),
    ("you cut an onion", "your eyes water"), ("you look straight at the sun", "your eyes are harmed"), ("you walk barefoot on broken glass", "your feet get cut"),
    ("you leave a candle by an open window", "the wind blows it out"), ("you plant a seed and water it", "it grows"), ("you mix red and white paint", "you get pink"),
    ("you mix blue and yellow paint", "you get green"), ("a driver runs out of fuel", "the car stops"), ("a child shakes a bottle of soda and opens it", "it sprays everywhere"),
    ("the power goes out at night", "the house goes dark"), ("someone shouts in a library", "people are disturbed"), ("you rub your hands together quickly", "they get warm"),
    ("a phone is used all day without charging", "its battery runs out"), ("you wash a wool sweater in hot water", "it shrinks"), ("you leave a wet towel on the line in the wind", "it dries"),
    ("a baby misses its nap", "it gets cranky"), ("you pour oil into water", "the oil floats"), ("you let go of a ball in the air", "it falls"),
    ("you put a heavy book on a paper cup", "the cup is crushed"), ("you leave ice cream on the table", "it melts"), ("you practice the piano every day", "you play better"),
    ("you never brush your teeth", "you get cavities"), ("you leave the front door open in winter", "the house gets cold"), ("you pull a rubber band too far", "it snaps"),
    ("you spill water on a paper letter", "the ink runs"), ("you bake bread too long", "it burns"), ("you hold your breath for long", "you need air"),
]

# A fact as a question, as a statement, and its cause.
WHY = [
    ("does ice float on water", "ice floats on water", "it is less dense"), ("do people wear coats in winter", "people wear coats in winter", "to stay warm"),
    ("do birds fly south in autumn", "many birds fly south in autumn", "to find food and warmth"), ("do leaves look green", "leaves look green", "they contain chlorophyll"),
    ("do we see lightning before we hear thunder", "we see lightning before we hear thunder", "light is faster than sound"), ("do cars have seat belts", "cars have seat belts", "to keep people safe"),
    ("do people sleep", "people sleep at night", "to rest"), ("do cats have whiskers", "cats have whiskers", "to sense their surroundings"),
    ("is there day and night", "there is day and night", "the Earth rotates"), ("do we have seasons", "we have seasons", "the Earth is tilted"),
    ("do wet roads make driving dangerous", "wet roads make driving dangerous", "tires slip on them"), ("do people whisper in a library", "people whisper in a library", "others are reading"),
    ("do we put food in a refrigerator", "we put food in a refrigerator", "to keep it fresh"), ("do plants need sunlight", "plants need sunlight", "to make their food"),
    ("does a metal spoon get hot in soup", "a metal spoon gets hot in soup", "metal conducts heat"), ("do pots have plastic or wooden handles", "pots have plastic or wooden handles", "they stay cool"),
    ("do fish have gills", "fish have gills", "to breathe under water"), ("do camels do well in deserts", "camels do well in deserts", "they need little water"),
    ("do polar bears have thick fur", "polar bears have thick fur", "to keep out the cold"), ("do we wash our hands before eating", "we wash our hands before eating", "to remove germs"),
    ("do ships have anchors", "ships have anchors", "to stay in place"), ("do bicycles have brakes", "bicycles have brakes", "to slow down"),
    ("do people wear sunglasses", "people wear sunglasses in summer", "to protect their eyes"), ("do houses have roofs", "houses have roofs", "to keep out the rain"),
    ("do people lock their doors", "people lock their doors", "to keep out thieves"), ("do dogs pant", "dogs pant in the heat", "to cool down"),
    ("do bees visit flowers", "bees visit flowers", "to collect nectar"), ("do spiders spin webs", "spiders spin webs", "to catch insects"),
    ("do squirrels bury nuts", "squirrels bury nuts", "to eat them later"), ("does a compass point north", "a compass points north", "the Earth is magnetic"),
    ("does bread rise", "bread dough rises", "yeast makes gas"), ("does salt go on icy roads", "salt goes on icy roads", "it melts the ice"),
    ("do firefighters wear helmets", "firefighters wear helmets", "to protect their heads"), ("do tires have grooves", "tires have grooves", "to grip wet roads"),
    ("does the moon shine", "the moon shines", "it reflects sunlight"), ("do we sweat", "we sweat when we exercise", "to cool down"),
    ("do people drink water after running", "people drink water after running", "they are thirsty"), ("do babies cry", "babies cry", "they need something"),
    ("do owls hunt at night", "owls hunt well at night", "they see in the dark"), ("do ducks stay dry", "ducks stay dry in water", "their feathers are oily"),
    ("do windows fog up in winter", "windows fog up in winter", "water condenses on them"), ("does a straw look bent in a glass of water", "a straw looks bent in a glass of water", "water bends light"),
]

# Something to do, and what does it.
USES = [
    ("cut paper", "scissors"), ("drive a nail into wood", "a hammer"), ("tighten a screw", "a screwdriver"), ("sweep the floor", "a broom"),
    ("open a locked door", "a key"), ("eat soup", "a spoon"), ("slice bread", "a knife"), ("dig a hole in the garden", "a shovel"),
    ("measure the length of a table", "a ruler"), ("tell the time", "a clock"), ("see far-away stars", "a telescope"), ("see tiny cells", "a microscope"),
    ("stay dry in the rain", "an umbrella"), ("dry your hair after a bath", "a towel"), ("brush your teeth", "a toothbrush"), ("write on a blackboard", "chalk"),
    ("erase a pencil mark", "an eraser"), ("find your way in a strange city", "a map"), ("find north in the forest", "a compass"), ("light a dark cave", "a flashlight"),
    ("sew on a button", "a needle and thread"), ("cross a wide river", "a bridge"), ("fix a paper that is torn", "tape"), ("hang a picture on the wall", "a nail"),
    ("wash your hands", "soap and water"), ("take a photograph", "a camera"), ("call a friend", "a phone"), ("cook an egg", "a pan"), ("bake a cake", "an oven"),
    ("keep food cold", "a refrigerator"), ("cool a room in summer", "a fan"), ("climb up to the roof", "a ladder"), ("carry books to school", "a backpack"),
    ("mail a letter", "a stamp"), ("buy something in a shop", "money"), ("borrow a book", "a library card"), ("water the garden", "a hose"),
    ("cut down a tree", "a saw"), ("paint a wall", "a brush"), ("catch a fish", "a fishing rod"), ("check for a fever", "a thermometer"), ("weigh apples", "a scale"),
    ("smooth a wrinkled shirt", "an iron"), ("tie two sticks together", "a rope"), ("glue wood pieces together", "glue"), ("clean a dusty carpet", "a vacuum cleaner"),
]

# Something, and where it usually is.
PLACES = [
    ("fresh milk", "in the refrigerator"), ("a parked car", "in a garage"), ("winter coats", "in a closet"), ("dirty dishes", "in the sink"),
    ("many books to borrow", "in a library"), ("a surgeon at work", "in a hospital"), ("airplanes", "at an airport"), ("trains", "at a station"),
    ("wild monkeys", "in the jungle"), ("sand and shells", "at the beach"), ("a pillow", "on a bed"), ("toothpaste", "in the bathroom"),
    ("a stove", "in the kitchen"), ("a bird's eggs", "in a nest"), ("a judge", "in a courtroom"), ("actors on a stage", "in a theater"),
    ("old paintings", "in a museum"), ("money and savings", "in a bank"), ("students and teachers", "at a school"), ("lions in a city", "at the zoo"),
    ("cows and tractors", "on a farm"), ("a cactus", "in the desert"), ("frozen peas", "in the freezer"), ("stamps for sale", "at the post office"),
    ("fresh bread for sale", "at a bakery"), ("medicine for sale", "at a pharmacy"), ("a penguin colony", "in Antarctica"), ("coral reefs", "in the ocean"),
    ("bats during the day", "in a cave"), ("bees and honey", "in a hive"), ("a goldfish", "in a fish tank"), ("clean plates", "in the cupboard"),
    ("a bookmark", "in a book"), ("rubber boats and swimmers", "at a lake"), ("popcorn and a big screen", "at a cinema"), ("a photo of the family", "in a frame"),
]

# A situation, and the feeling it brings.
FEELINGS = [
    ("a good friend moves far away", "sad"), ("someone wins first prize", "proud"), ("a stranger shouts at night", "scared"), ("someone gets an unexpected gift", "surprised"),
    ("someone waits for hours with nothing to do", "bored"), ("someone works all night", "tired"), ("a classmate breaks your toy on purpose", "angry"),
    ("someone speaks in front of a big crowd", "nervous"), ("someone trips in front of everybody", "embarrassed"), ("someone eats nothing all day", "hungry"),
    ("someone sits by a warm fire with a good book", "relaxed"), ("someone loses a wallet", "worried"), ("someone hears a very funny joke", "amused"),
    ("someone spends a holiday with no company", "lonely"), ("someone is helped by a kind neighbor", "grateful"), ("someone gets lost in a big forest", "afraid"),
    ("a team loses the final match", "disappointed"), ("a child goes to the fair", "excited"), ("someone breaks a promise", "guilty"),
    ("someone passes a hard exam", "relieved"), ("someone cannot solve a puzzle after many tries", "frustrated"), ("someone sees a friend get what they wanted", "jealous"),
    ("a pet dies", "sad"), ("someone walks through a hot desert", "thirsty"), ("someone reads instructions that make no sense", "confused"),
    ("someone finds a spider in bed", "scared"), ("someone gets a warm hug", "loved"), ("a plane shakes in a storm", "afraid"),
]
