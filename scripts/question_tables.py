"""Tables of facts for make_questions.py, written by hand from general knowledge."""

# Country, capital, continent, area in thousand square kilometres (0: disputed or ambiguous, never compared), currency.
COUNTRIES = [
    ("France", "Paris", "Europe", 552, "euro"), ("Germany", "Berlin", "Europe", 358, "euro"), ("Italy", "Rome", "Europe", 301, "euro"),
    ("Spain", "Madrid", "Europe", 506, "euro"), ("Portugal", "Lisbon", "Europe", 92, "euro"), ("Austria", "Vienna", "Europe", 84, "euro"),
    ("Greece", "Athens", "Europe", 132, "euro"), ("Finland", "Helsinki", "Europe", 338, "euro"), ("Ireland", "Dublin", "Europe", 70, "euro"),
    ("Belgium", "Brussels", "Europe", 31, "euro"), ("Croatia", "Zagreb", "Europe", 57, "euro"), ("Sweden", "Stockholm", "Europe", 450, "krona"),
    ("Norway", "Oslo", "Europe", 385, "krone"), ("Denmark", "Copenhagen", "Europe", 0, "krone"), ("Iceland", "Reykjavik", "Europe", 103, "krona"),
    ("Poland", "Warsaw", "Europe", 313, "zloty"), ("Hungary", "Budapest", "Europe", 93, "forint"), ("Romania", "Bucharest", "Europe", 238, "leu"),
    ("Switzerland", "Bern", "Europe", 41, "franc"), ("Ukraine", "Kyiv", "Europe", 604, "hryvnia"), ("Serbia", "Belgrade", "Europe", 0, "dinar"),
    ("Albania", "Tirana", "Europe", 29, "lek"), ("China", "Beijing", "Asia", 9600, "yuan"), ("Japan", "Tokyo", "Asia", 378, "yen"),
    ("India", "New Delhi", "Asia", 3287, "rupee"), ("South Korea", "Seoul", "Asia", 100, "won"), ("Thailand", "Bangkok", "Asia", 513, "baht"),
    ("Vietnam", "Hanoi", "Asia", 331, "dong"), ("Mongolia", "Ulaanbaatar", "Asia", 1564, "tugrik"), ("Nepal", "Kathmandu", "Asia", 147, "rupee"),
    ("Bangladesh", "Dhaka", "Asia", 148, "taka"), ("Pakistan", "Islamabad", "Asia", 0, "rupee"), ("Iran", "Tehran", "Asia", 1648, "rial"),
    ("Iraq", "Baghdad", "Asia", 438, "dinar"), ("Saudi Arabia", "Riyadh", "Asia", 2150, "riyal"), ("Jordan", "Amman", "Asia", 89, "dinar"),
    ("Lebanon", "Beirut", "Asia", 10, "pound"), ("Malaysia", "Kuala Lumpur", "Asia", 330, "ringgit"), ("Cambodia", "Phnom Penh", "Asia", 181, "riel"),
    ("Laos", "Vientiane", "Asia", 237, "kip"), ("Afghanistan", "Kabul", "Asia", 652, "afghani"), ("Qatar", "Doha", "Asia", 12, "riyal"),
    ("Oman", "Muscat", "Asia", 310, "rial"), ("Uzbekistan", "Tashkent", "Asia", 447, "som"), ("Egypt", "Cairo", "Africa", 1002, "pound"),
    ("Kenya", "Nairobi", "Africa", 580, "shilling"), ("Nigeria", "Abuja", "Africa", 924, "naira"), ("Ghana", "Accra", "Africa", 239, "cedi"),
    ("Ethiopia", "Addis Ababa", "Africa", 1104, "birr"), ("Morocco", "Rabat", "Africa", 0, "dirham"), ("Algeria", "Algiers", "Africa", 2382, "dinar"),
    ("Tunisia", "Tunis", "Africa", 164, "dinar"), ("Libya", "Tripoli", "Africa", 1760, "dinar"), ("Uganda", "Kampala", "Africa", 241, "shilling"),
    ("Rwanda", "Kigali", "Africa", 26, "franc"), ("Zambia", "Lusaka", "Africa", 753, "kwacha"), ("Angola", "Luanda", "Africa", 1247, "kwanza"),
    ("Botswana", "Gaborone", "Africa", 582, "pula"), ("Senegal", "Dakar", "Africa", 197, "franc"), ("Mali", "Bamako", "Africa", 1240, "franc"),
    ("Madagascar", "Antananarivo", "Africa", 587, "ariary"), ("Mozambique", "Maputo", "Africa", 802, "metical"),
    ("Canada", "Ottawa", "North America", 9985, "dollar"), ("Mexico", "Mexico City", "North America", 1964, "peso"),
    ("Cuba", "Havana", "North America", 110, "peso"), ("Jamaica", "Kingston", "North America", 11, "dollar"),
    ("Honduras", "Tegucigalpa", "North America", 112, "lempira"), ("Nicaragua", "Managua", "North America", 130, "cordoba"),
    ("Guatemala", "Guatemala City", "North America", 109, "quetzal"), ("Haiti", "Port-au-Prince", "North America", 28, "gourde"),
    ("Brazil", "Brasilia", "South America", 8516, "real"), ("Argentina", "Buenos Aires", "South America", 2780, "peso"),
    ("Chile", "Santiago", "South America", 756, "peso"), ("Peru", "Lima", "South America", 1285, "sol"),
    ("Colombia", "Bogota", "South America", 1142, "peso"), ("Ecuador", "Quito", "South America", 0, "dollar"),
    ("Uruguay", "Montevideo", "South America", 176, "peso"), ("Paraguay", "Asuncion", "South America", 407, "guarani"),
    ("Australia", "Canberra", "Oceania", 7692, "dollar"), ("New Zealand", "Wellington", "Oceania", 268, "dollar"), ("Fiji", "Suva", "Oceania", 18, "dollar"),
]

# Element, symbol, atomic number.
ELEMENTS = [
    ("hydrogen", "H", 1), ("helium", "He", 2), ("lithium", "Li", 3), ("beryllium", "Be", 4), ("boron", "B", 5), ("carbon", "C", 6),
    ("nitrogen", "N", 7), ("oxygen", "O", 8), ("fluorine", "F", 9), ("neon", "Ne", 10), ("sodium", "Na", 11), ("magnesium", "Mg", 12),
    ("aluminum", "Al", 13), ("silicon", "Si", 14), ("phosphorus", "P", 15), ("sulfur", "S", 16), ("chlorine", "Cl", 17), ("argon", "Ar", 18),
    ("potassium", "K", 19), ("calcium", "Ca", 20), ("titanium", "Ti", 22), ("chromium", "Cr", 24), ("iron", "Fe", 26), ("cobalt", "Co", 27),
    ("nickel", "Ni", 28), ("copper", "Cu", 29), ("zinc", "Zn", 30), ("bromine", "Br", 35), ("krypton", "Kr", 36), ("silver", "Ag", 47),
    ("tin", "Sn", 50), ("iodine", "I", 53), ("xenon", "Xe", 54), ("tungsten", "W", 74), ("platinum", "Pt", 78), ("gold", "Au", 79),
    ("mercury", "Hg", 80), ("lead", "Pb", 82), ("radon", "Rn", 86), ("radium", "Ra", 88), ("uranium", "U", 92),
]

# Book or play, author, the author's year of birth.
BOOKS = [
    ("Pride and Prejudice", "Jane Austen", 1775), ("Hamlet", "William Shakespeare", 1564), ("War and Peace", "Leo Tolstoy", 1828),
    ("Crime and Punishment", "Fyodor Dostoevsky", 1821), ("Oliver Twist", "Charles Dickens", 1812), ("Moby-Dick", "Herman Melville", 1819),
    ("Don Quixote", "Miguel de Cervantes", 1547), ("Frankenstein", "Mary Shelley", 1797), ("Dracula", "Bram Stoker", 1847),
    ("Les Miserables", "Victor Hugo", 1802), ("Madame Bovary", "Gustave Flaubert", 1821), ("The Trial", "Franz Kafka", 1883),
    ("Ulysses", "James Joyce", 1882), ("The Hobbit", "J. R. R. Tolkien", 1892), ("Animal Farm", "George Orwell", 1903),
    ("Brave New World", "Aldous Huxley", 1894), ("The Great Gatsby", "F. Scott Fitzgerald", 1896),
    ("The Old Man and the Sea", "Ernest Hemingway", 1899), ("The Grapes of Wrath", "John Steinbeck", 1902),
    ("To Kill a Mockingbird", "Harper Lee", 1926), ("The Catcher in the Rye", "J. D. Salinger", 1919), ("Jane Eyre", "Charlotte Bronte", 1816),
    ("Wuthering Heights", "Emily Bronte", 1818), ("Treasure Island", "Robert Louis Stevenson", 1850), ("The Jungle Book", "Rudyard Kipling", 1865),
    ("Peter Pan", "J. M. Barrie", 1860), ("Alice's Adventures in Wonderland", "Lewis Carroll", 1832), ("The Time Machine", "H. G. Wells", 1866),
    ("The Adventures of Tom Sawyer", "Mark Twain", 1835), ("The Call of the Wild", "Jack London", 1876), ("Little Women", "Louisa May Alcott", 1832),
    ("The Scarlet Letter", "Nathaniel Hawthorne", 1804), ("Walden", "Henry David Thoreau", 1817), ("The Stranger", "Albert Camus", 1913),
    ("The Little Prince", "Antoine de Saint-Exupery", 1900), ("Faust", "Johann Wolfgang von Goethe", 1749), ("Paradise Lost", "John Milton", 1608),
    ("Gulliver's Travels", "Jonathan Swift", 1667), ("One Hundred Years of Solitude", "Gabriel Garcia Marquez", 1927),
    ("Mrs Dalloway", "Virginia Woolf", 1882), ("The Picture of Dorian Gray", "Oscar Wilde", 1854), ("Around the World in Eighty Days", "Jules Verne", 1828),
    ("The Three Musketeers", "Alexandre Dumas", 1802), ("The Cherry Orchard", "Anton Chekhov", 1860), ("A Doll's House", "Henrik Ibsen", 1828),
    ("Things Fall Apart", "Chinua Achebe", 1930), ("Beloved", "Toni Morrison", 1931), ("Dune", "Frank Herbert", 1920),
]

PAINTINGS = [
    ("The Starry Night", "Vincent van Gogh", 1853), ("Mona Lisa", "Leonardo da Vinci", 1452), ("Guernica", "Pablo Picasso", 1881),
    ("The Scream", "Edvard Munch", 1863), ("Girl with a Pearl Earring", "Johannes Vermeer", 1632), ("The Night Watch", "Rembrandt", 1606),
    ("The Kiss", "Gustav Klimt", 1862), ("The Persistence of Memory", "Salvador Dali", 1904), ("American Gothic", "Grant Wood", 1891),
    ("Las Meninas", "Diego Velazquez", 1599), ("Impression, Sunrise", "Claude Monet", 1840), ("The School of Athens", "Raphael", 1483),
]

# What, and who is credited with it.
DISCOVERIES = [
    ("the telephone", "Alexander Graham Bell"), ("dynamite", "Alfred Nobel"), ("the movable-type printing press in Europe", "Johannes Gutenberg"),
    ("the phonograph", "Thomas Edison"), ("the World Wide Web", "Tim Berners-Lee"), ("penicillin", "Alexander Fleming"),
    ("natural radioactivity", "Henri Becquerel"), ("X-rays", "Wilhelm Roentgen"), ("the law of universal gravitation", "Isaac Newton"),
    ("the general theory of relativity", "Albert Einstein"), ("the smallpox vaccine", "Edward Jenner"), ("the reading system for the blind", "Louis Braille"),
    ("pasteurization", "Louis Pasteur"), ("the diesel engine", "Rudolf Diesel"), ("the electric battery", "Alessandro Volta"),
    ("the lightning rod", "Benjamin Franklin"), ("the periodic table", "Dmitri Mendeleev"), ("the cotton gin", "Eli Whitney"),
    ("the saxophone", "Adolphe Sax"), ("vulcanized rubber", "Charles Goodyear"), ("the hovercraft", "Christopher Cockerell"),
    ("the ballpoint pen", "Laszlo Biro"), ("the laws of planetary motion", "Johannes Kepler"), ("the moons of Jupiter", "Galileo Galilei"),
]

# Grown animal, its young, its class, its legs.
ANIMALS = [
    ("dog", "puppy", "mammal", 4), ("cat", "kitten", "mammal", 4), ("cow", "calf", "mammal", 4), ("horse", "foal", "mammal", 4),
    ("sheep", "lamb", "mammal", 4), ("goat", "kid", "mammal", 4), ("pig", "piglet", "mammal", 4), ("chicken", "chick", "bird", 2),
    ("duck", "duckling", "bird", 2), ("goose", "gosling", "bird", 2), ("swan", "cygnet", "bird", 2), ("lion", "cub", "mammal", 4),
    ("bear", "cub", "mammal", 4), ("deer", "fawn", "mammal", 4), ("frog", "tadpole", "amphibian", 4), ("butterfly", "caterpillar", "insect", 6),
    ("eagle", "eaglet", "bird", 2), ("owl", "owlet", "bird", 2), ("elephant", "calf", "mammal", 4), ("snake", None, "reptile", 0),
    ("lizard", None, "reptile", 4), ("turtle", "hatchling", "reptile", 4), ("shark", "pup", "fish", 0), ("salmon", "fry", "fish", 0),
    ("ant", "larva", "insect", 6), ("bee", "larva", "insect", 6), ("spider", "spiderling", "arachnid", 8), ("scorpion", None, "arachnid", 8),
    ("penguin", "chick", "bird", 2), ("parrot", "chick", "bird", 2), ("newt", None, "amphibian", 4), ("mosquito", "larva", "insect", 6),
]

# Names that animals outside the table give their young too.
SHARED_NAMES_OF_YOUNG = {"pup", "hatchling", "fry", "larva", "calf", "cub", "chick", "caterpillar"}

# In order from the Sun.
PLANETS = ["Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune"]
PLANET_NOTES = [
    ("is called the Red Planet", "Mars"), ("is the largest", "Jupiter"), ("is the smallest", "Mercury"), ("is the hottest", "Venus"),
    ("is famous for its bright rings", "Saturn"), ("has the Great Red Spot", "Jupiter"), ("is our home", "Earth"),
    ("rotates on its side", "Uranus"), ("has a moon named Titan", "Saturn"), ("has a moon named Triton", "Neptune"),
    ("has the moons Phobos and Deimos", "Mars"), ("is often called the morning star", "Venus"),
]

# Country, its highest mountain, height in metres.
MOUNTAINS = [
    ("Japan", "Mount Fuji", 3776), ("Tanzania", "Mount Kilimanjaro", 5895), ("France", "Mont Blanc", 4808), ("Argentina", "Aconcagua", 6961),
    ("Greece", "Mount Olympus", 2917), ("Spain", "Teide", 3715), ("Kenya", "Mount Kenya", 5199), ("Nepal", "Mount Everest", 8849),
    ("Germany", "Zugspitze", 2962), ("Canada", "Mount Logan", 5959), ("Australia", "Mount Kosciuszko", 2228), ("New Zealand", "Mount Cook", 3724),
    ("Mexico", "Pico de Orizaba", 5636), ("Ecuador", "Chimborazo", 6263), ("Morocco", "Toubkal", 4167), ("Poland", "Rysy", 2499),
    ("Ireland", "Carrauntoohil", 1038), ("Malaysia", "Mount Kinabalu", 4095), ("Iran", "Damavand", 5610), ("Austria", "Grossglockner", 3798),
    ("Peru", "Huascaran", 6768), ("Portugal", "Mount Pico", 2351), ("Norway", "Galdhopiggen", 2469), ("Indonesia", "Puncak Jaya", 4884),
]

# "How many <what>", the number: facts that look like arithmetic.
COUNTS = [
    ("days are in a week", 7), ("months are in a year", 12), ("hours are in a day", 24), ("minutes are in an hour", 60), ("sides does a triangle have", 3),
    ("sides does a pentagon have", 5), ("sides does a hexagon have", 6), ("sides does an octagon have", 8), ("faces does a cube have", 6),
    ("strings does a violin have", 4), ("players does a soccer team field", 11), ("planets orbit the Sun", 8), ("keys does a standard piano have", 88),
    ("letters are in the English alphabet", 26), ("cards are in a standard deck without jokers", 52), ("squares are on a chessboard", 64),
    ("bones does an adult human have", 206), ("degrees are in a right angle", 90), ("years are in a century", 100), ("years are in a decade", 10),
    ("inches are in a foot", 12), ("grams are in a kilogram", 1000), ("meters are in a kilometer", 1000), ("stars are on the flag of the United States", 50),
    ("signs does the zodiac have", 12), ("legs does a spider have", 8), ("players are on a basketball team on court", 5), ("chambers does the human heart have", 4),
    ("strings does a standard guitar have", 6), ("ounces are in a pound", 16), ("lines does a sonnet have", 14), ("events are in a decathlon", 10),
]
