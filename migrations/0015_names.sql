-- Names are three rows a user, in no order, so each of their indexes costs every new user as much as all of the trail's.
-- What is held now is found by `names_of` as well; that it is held once, a replay says.
drop index names_held;
