"""Parquet files and object stores."""

MIB = 2**20

PARQUET_PARTITION_DEFAULT_NBYTES = 75_000_000
"""dask's own size up to which it reads parquet partitions together."""

SLICE_NBYTES = 16 * MIB
"""Bytes of a slice of a parquet file, about: large compared with a page (1 MiB), small compared with a worker."""

PARQUET_BUFFER_NBYTES = 1 * MIB
"""Bytes that a parquet column is read ahead by, where a row group is streamed rather than read whole."""

DICTIONARY_ROW_NBYTES = 4
"""Bytes of a value, dictionary included, up to which a column of text is taken to be numbers of a dictionary in the file."""

CATEGORIES_NBYTES = 2**16
"""Bytes of a dictionary in a file, compressed, from which on its column is read as text: categories of 10,000 values take 5 ms for each
slice, the text of 100,000 rows 6."""

SLICE_OF_DICTIONARIES = 16
"""The part of a slice's bytes that all dictionaries of the columns which are read as categories may have in their file."""

SHORT_TEXT_NBYTES = 32
"""Strings of no more bytes are not counted one by one where what they have as text is bounded."""

CODED_REPEATS = 8
"""Rows for each value from which on text of a file goes to another file as numbers: values are looked at for each slice."""

PARQUET_BUFFERED_COLUMNS = 16
"""Columns of a file up to which each is read ahead by so much."""

PARQUET_SMALL_BUFFER_NBYTES = 128 * 1024
"""Bytes that a column is read ahead by where there are more."""

READER_FILES = 4
"""Files whose pages are looked at, to know what reading in slices holds."""

READER_COLUMNS = 16
"""Columns of a file whose pages are looked at: two requests each."""

PAGE_COPIES = 3.0
"""Copies of a page of a column while it is streamed: as it is in the file, decompressed, and as it is decoded."""

DICTIONARY_COPIES = 3.0
"""Copies of a dictionary: as it is in the file, decompressed, and its values by number."""

READER_NBYTES = 96 * MIB
"""Bytes of pages and dictionaries from which on a few columns are read at a time, where no plan says: more than those of
16 columns as the usual writer makes them."""

READER_FRACTION = 0.5
"""Share of a task's budget up to which a stage task reads all columns at once: they are written and read once more
otherwise."""

COLUMN_FILE_MARGIN = 1.25
"""Bytes of the files in which columns wait for others, by those of their values: a column has some 200 B of head and padding in each
batch of 2 MiB, so that this is enough for two thousand columns, or for two hundred where batches are small."""

READER_SET_NBYTES = 32 * MIB
"""Bytes of pages and dictionaries of the columns that are read at a time, where not all of them are."""

SLICE_BATCHES = 8
"""Batches that a slice of a parquet file is gathered of, at the least: it is not much larger where rows get wider."""

SLICE_FIRST_ROWS = 2**10
"""Rows that are decoded first, to see how wide they are."""

SLICE_MOST_ROWS = 2**15
"""Rows that are decoded at a time, at most: where those after narrow ones are many times as wide, a few MiB."""

BATCH_WIDENING = 2.0
"""Bytes of a batch by those that it is meant to have, up to which rows that get wider are not read in smaller steps."""

PAGE_HEADS = 2**14
"""Pages of a column of a row group whose heads are read, at most: some 15 µs each."""

PAGE_HEAD_MOST_NBYTES = 2**24
"""Bytes of a page's head at most: pyarrow reads no larger one either."""

PAGE_HEAD_NBYTES = 256
"""Bytes that are read to parse the head of a page: with statistics of short values."""

SLICE_MARGIN = 3
"""Factor on the size of a slice, of which only the mean row is known when it is cut."""

SLICE_READ_NBYTES = 64 * MIB
"""Bytes of pages, dictionaries and decompression while a row group is streamed."""

ROW_GROUP_MIN_NBYTES = 1 * MIB
"""Smaller row groups cost readers more in footers and requests than they save."""

ROW_GROUP_MAX_NBYTES = 64 * MIB
"""Larger row groups cost whoever reads one more memory, and encode no better."""

ROW_GROUP_MAX_ROWS = 2**20
"""pyarrow's own bound of a row group."""

FILE_FRACTION = 0.25
"""Bytes of parquet files per byte in memory, at the least, when room on the disk is checked
before a run: more would refuse writes that fit; a disk that fills up is noticed when it does."""

STORE_READ_THREADS = 16
"""Requests to an object store that a process has under way at once: each waits some 30 ms, so
that sixteen of a few hundred KiB keep a link of 1 Gbit/s busy; Arrow's S3 client has 25 connections."""

STORE_READ_AHEAD_NBYTES = 32 * MIB
"""Bytes that one reader of an object store requests before they are needed."""

STORE_REQUEST_NBYTES = 8 * MIB
"""Neighbouring pieces of a file are requested together up to this size: larger requests gain nothing."""

STORE_GAP_NBYTES = 256 * 1024
"""Bytes between two pieces up to which one request reads both: they take less time than another request."""

STORE_WRITE_BUFFER_NBYTES = 1 * MIB
"""Small writes to an object store are put together to so much before its library sees them."""

STORE_OPEN_FILES = 1024
"""Files of an object store whose length is remembered: each is requested once, not for every piece."""

WRITE_FANOUT = 5.0
"""Result rows for each row of both sides from which on a merge is written without them (decision 0018)."""

JOINED_FILE_NBYTES = 128 * MIB
"""Bytes of a parquet file that is written without rows, about."""

JOINED_COPIES = 6.0
"""Copies of a shard's rows written without rows: staged, pandas, in key order, Arrow, values to be written."""

JOINED_ROW_NBYTES = 16
"""Bytes per row of a row group that is written without rows: positions and codes of a page."""

JOINED_CODE_NBYTES = 4
"""Bytes of a row's code in the dictionary pages of its key."""

JOINED_SHARED_NBYTES = 0.25
"""Bytes of a code, compressed, where keys with few rows share pages."""

JOINED_PAGE_NBYTES = 300
"""Bytes of a page's head, its codes as a codec leaves them, and its share of the footer."""

JOINED_FILE_FRACTION = 0.5
"""Bytes of files that are written without rows by those predicted before compression, at the least."""

ROW_GROUP_WIDTH_ROWS = 1024
"""Rows of a partition that are measured, about, to choose the rows of a row group."""

LOCAL_BUFFER_NBYTES = 2**20
"""Small writes to a staged file are put together to so much."""

DIRECT_WRITE_NBYTES = 4 * 2**20
"""What is written past the page cache at once, from one aligned buffer."""

JOINED_PAGE_ROWS = 4096
"""Result rows of a key from which on it has pages of its own, where a merge is written without rows."""

JOINED_SHARED_ROWS = 2**16
"""Rows of a page of several keys."""

JOINED_RIGHT_ROWS = 2**15
"""Right rows of a rectangle: the dictionary that each row group repeats."""

JOINED_KEPT_PAGES = 64
"""Pages of the right side that are kept from group to group, compressed."""

ENCODING_SAMPLE = 2048
"""Values of a column by which its encoding and codec are chosen."""

ENCODING_FILES = 16
"""Files of one write that a process encodes alike, before it looks at the values of one again."""

DICTIONARY_REPEATS = 3.0
"""Times each value is there from which on a dictionary pays: an entry costs its value once and a hash for every row."""

DICTIONARY_NBYTES = 2**20
"""pyarrow's limit of a dictionary page, above which it falls back to plain."""

DICTIONARY_BITS = 0.75
"""Bits of a code by those of a difference, up to which a dictionary beats differences: it costs a hash for every row."""

CODEC_FRACTION = 0.95
"""Compressed bytes by plain ones, below which a codec is worth its time."""

STRETCH_SAMPLES = 8
"""Places of an output partition at which rows are measured, to choose how many of them are written at once."""

STRETCH_MARGIN = 1.25
"""Bytes of a stretch by those of a row group, from which on the ones that follow have fewer rows."""

CODEC_SAMPLE_NBYTES = 2**18
"""Bytes of a column's strings by which its codec is chosen: sampled values may be long."""

PAGE_NBYTES = 2**20
"""Bytes of a parquet page, about, which is pyarrow's own figure: it looks at a page once 1024 values are in it, which of
long strings would be some 100 MiB."""

STORE_READ_TRIES = 4
"""How often a stretch of a staged file is requested of an object store, before the error is the task's."""

STORE_RETRY_SECONDS = 0.1
"""Wait before the second request, and twice as long before each that follows."""
