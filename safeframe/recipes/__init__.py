"""One thin function per recipe: normalise, gather facts, plan, return a collection."""
