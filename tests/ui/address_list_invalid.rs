use actix_rateguard::{AccessList, ClientAddress};

fn main() {
    let _ = ClientAddress::behind(10);
    let _ = AccessList::new().allow_addresses([10]);
}
